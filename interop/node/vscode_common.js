// What both vscode-jsonrpc peers share.
'use strict';

const rpc = require('vscode-jsonrpc/node');

const TEXT = 'zo\u00eb \u2028 \u65e5\u672c\u8a9e \u{1f980}';

function show(line) {
    process.stdout.write(JSON.stringify(line) + '\n');
}

function open(socket) {
    socket.on('error', () => {});
    return rpc.createMessageConnection(new rpc.SocketMessageReader(socket), new rpc.SocketMessageWriter(socket));
}

// What went wrong with a call, as the peer said it.
function failure(promise) {
    return promise.then(
        (result) => ({ result }),
        (error) => ({ code: error.code, message: error.message, data: error.data }),
    );
}

function endWithInput() {
    process.stdin.resume();
    process.stdin.on('end', () => process.exit(0));
}

module.exports = { rpc, TEXT, show, open, failure, endWithInput };
