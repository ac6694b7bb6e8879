// A vscode-jsonrpc server for our client. It says its port, then what it was notified of.
'use strict';

const net = require('net');
const { rpc, show, open, failure, endWithInput } = require('./vscode_common.js');

function serve(socket) {
    const connection = open(socket);
    const slow = [];
    connection.onRequest('add', (...params) => {
        // By place or by name, and a token for cancellation behind them.
        const [a, b] = params.length === 3 ? params : [params[0].a, params[0].b];
        if (typeof a !== 'number' || typeof b !== 'number') {
            throw new rpc.ResponseError(rpc.ErrorCodes.InvalidParams, 'add takes a and b');
        }
        return a + b;
    });
    connection.onRequest('boom', () => {
        throw new Error('boom');
    });
    connection.onRequest('fail', ({ code, message }) => {
        throw new rpc.ResponseError(code, message, { asked: true });
    });
    connection.onRequest('echo', (value) => value);
    connection.onNotification('note', (note) => {
        show({ note });
        connection.sendNotification('noted', note);
    });
    connection.onRequest('ask', async (question) => ({ said: await connection.sendRequest('answer', question) }));
    connection.onRequest('ask_unknown', () => failure(connection.sendRequest('no.such', 1)));
    connection.onRequest('slow', () => new Promise((resolve) => slow.push(resolve)));
    connection.onRequest('now', () => slow.splice(0).forEach((resolve) => resolve('late')));
    connection.onRequest('ask_and_cancel', async () => {
        const cancellation = new rpc.CancellationTokenSource();
        const answer = failure(connection.sendRequest('later', { ms: 300 }, cancellation.token));
        cancellation.cancel();
        return answer;
    });
    connection.listen();
}

const listener = net.createServer(serve);
listener.listen(0, '127.0.0.1', () => show({ port: listener.address().port }));
endWithInput();
