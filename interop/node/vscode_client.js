// A vscode-jsonrpc client of our server. One argument, the port; one JSON line for each step.
'use strict';

const net = require('net');
const { rpc, TEXT, show, open, failure, endWithInput } = require('./vscode_common.js');

async function main() {
    const socket = net.connect(Number(process.argv[2]), '127.0.0.1');
    const connection = open(socket);
    connection.onRequest('answer', (...heard) => ({ heard: heard.slice(0, -1) }));
    const noted = new Promise((resolve) => connection.onNotification('noted', resolve));
    connection.listen();
    const call = (...request) => connection.sendRequest(...request);

    show({ positional: await call('add', 10, 20) });
    show({ named: await call('add', { a: 10, b: 20 }) });
    show({ unknown: await failure(call('no.such')) });
    show({ invalid: await failure(call('add', { a: 'x', b: 1 })) });
    show({ raised: await failure(call('boom')) });
    show({ failed: await failure(call('fail', { code: 4711, message: 'as asked: ' + TEXT })) });
    show({ text: await call('echo', { text: TEXT, [TEXT]: [1.5, null, true] }) });
    const large = '\u017e'.repeat(150000);
    show({ large: (await call('echo', { large })).large === large });
    await connection.sendNotification('no.such.message', { nobody: 'listens' });
    await connection.sendNotification('note', { text: TEXT });
    show({ noted: await noted });
    show({ asked: await call('ask', { text: TEXT }) });
    show({ asked: await call('ask', 1, 2) });
    const sums = await Promise.all(Array.from({ length: 1000 }, (_, n) => call('add', n, n)));
    show({ pipelined: sums.filter((sum, n) => sum !== 2 * n) });
    const cancellation = new rpc.CancellationTokenSource();
    const cancelled = failure(call('sleep', { ms: 300 }, cancellation.token));
    cancellation.cancel();
    show({ cancelled: await cancelled, after: await call('add', 1, 1) });
    show({ done: true });
}

endWithInput();
main();
