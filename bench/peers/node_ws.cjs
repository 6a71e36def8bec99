// Node's `ws`: sends each message back. The port goes to stdout; the end of stdin is the end.
const { WebSocketServer } = require('ws');

const server = new WebSocketServer(
  { host: '127.0.0.1', port: 0, perMessageDeflate: false },
  () => console.log(server.address().port),
);
server.on('connection', (client) => {
  client.on('error', () => {});
  client.on('message', (data, binary) => client.send(data, { binary }));
});
process.stdin.resume().on('end', () => process.exit());
