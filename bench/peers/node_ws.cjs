// Node's `ws`: sends each message back, or to all if it starts with 'b'. The port goes to stdout; the
// end of stdin is the end. With two arguments it compresses: the level, and the smallest message.
const { WebSocketServer } = require('ws');

const [level, threshold] = process.argv.slice(2).map(Number);
const perMessageDeflate = level > 0 && {
  zlibDeflateOptions: { level },
  threshold,
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
};
const server = new WebSocketServer(
  { host: '127.0.0.1', port: 0, perMessageDeflate },
  () => console.log(server.address().port),
);
server.on('connection', (client) => {
  client.on('error', () => {});
  client.on('message', (data, binary) => {
    const receivers = data[0] === 'b'.charCodeAt() ? server.clients : [client];
    for (const receiver of receivers) receiver.send(data, { binary });
  });
});
process.stdin.resume().on('end', () => process.exit());
