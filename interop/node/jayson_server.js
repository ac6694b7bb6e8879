// A jayson server for our client: it writes its answers with nothing between them. It says its port, then what it was
// notified of.
'use strict';

const jayson = require('jayson');

function show(line) {
    process.stdout.write(JSON.stringify(line) + '\n');
}

const server = new jayson.Server({
    add(params, callback) {
        const [a, b] = Array.isArray(params) ? params : [params.a, params.b];
        if (typeof a !== 'number' || typeof b !== 'number') {
            return callback(server.error(-32602, 'add takes a and b'));
        }
        callback(null, a + b);
    },
    fail({ code, message }, callback) {
        callback(server.error(code, message, { asked: true }));
    },
    malformed(_, callback) {
        // No error object: the package answers with an internal error instead.
        callback('boom');
    },
    echo(value, callback) {
        callback(null, value);
    },
    note(note, callback) {
        show({ note });
        callback(null, 'nobody hears this');
    },
});

const listener = server.tcp();
listener.listen(0, '127.0.0.1', () => show({ port: listener.address().port }));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
