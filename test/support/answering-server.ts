// The program of pods that are asked by many clients: answers every HTTP request with the pod's name, and when it is told to end
// it takes no further connections, answers those that it has, and ends.
export const answeringServer = `
  const { createServer } = require("node:net");
  const name = require("node:os").hostname();
  const open = new Set();
  const server = createServer((socket) => {
    let text = "";
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      text += chunk;
      if (!text.includes("\\r\\n\\r\\n")) return;
      const isLast = text.includes(" HTTP/1.0");
      text = "";
      const answer = "HTTP/1.1 200 OK\\r\\ncontent-length: " + name.length + "\\r\\n\\r\\n" + name;
      if (isLast) socket.end(answer);
      else socket.write(answer);
    });
  });
  server.listen({ port: 8080, host: "::", backlog: 4096 });
  process.on("SIGTERM", () => server.close(() => process.exit(0)));`;
