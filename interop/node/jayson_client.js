// A jayson client of our server: a connection for each call. One argument, the port; one JSON line for each step.
'use strict';

const jayson = require('jayson');

const TEXT = 'zo\u00eb \u2028 \u65e5\u672c\u8a9e \u{1f980}';
const client = jayson.Client.tcp({ host: '127.0.0.1', port: Number(process.argv[2]) });

function show(line) {
    process.stdout.write(JSON.stringify(line) + '\n');
}

// The whole answer, without its id, which the package has compared already.
function call(method, params) {
    return new Promise((resolve, reject) => {
        client.request(method, params, (failed, error, result) => {
            if (failed) {
                reject(failed);
            } else {
                resolve(error ? { error } : { result });
            }
        });
    });
}

function notify(method, params) {
    return new Promise((resolve, reject) => {
        client.request(method, params, null, (failed) => (failed ? reject(failed) : resolve()));
    });
}

function batch(requests) {
    return new Promise((resolve, reject) => {
        client.request(requests, (failed, errors, successes) => (failed ? reject(failed) : resolve({ errors, successes })));
    });
}

async function main() {
    show({ positional: await call('add', [10, 20]) });
    show({ named: await call('add', { a: 10, b: 20 }) });
    show({ unknown: await call('no.such', []) });
    show({ invalid: await call('add', { a: 'x', b: 1 }) });
    show({ raised: await call('boom', []) });
    show({ failed: await call('fail', { code: 4711, message: 'as asked: ' + TEXT }) });
    show({ text: await call('echo', { text: TEXT, [TEXT]: [1.5, null, true] }) });
    const large = '\u017e'.repeat(150000);
    show({ large: (await call('echo', [large])).result[0] === large });
    await notify('heard', { text: TEXT });
    show({ notified: true });
    const requests = [client.request('add', [1, 2]), client.request('no.such', [1]), client.request('add', [3, 4])];
    const { errors, successes } = await batch(requests);
    show({ batch: [errors.map((answer) => answer.error.code), successes.map((answer) => answer.result)] });
    // Each on a connection of its own, fifty at a time.
    const wrong = [];
    for (let start = 0; start < 1000; start += 50) {
        const some = Array.from({ length: 50 }, (_, n) => start + n);
        const answers = await Promise.all(some.map((n) => call('add', [n, n])));
        wrong.push(...some.filter((n, at) => answers[at].result !== 2 * n));
    }
    show({ many: wrong });
    show({ done: true });
}

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
main();
