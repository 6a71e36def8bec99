// The HTTP and WebSocket client of Java's own library: java Java.java ECHO_PORT [PUSH_PORT]

import java.net.CookieManager;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

class Java {
    static final long BOUND = 30; // seconds
    static final int LIMIT = 1024 * 1024;
    // What a scheme ends with: this property names what to trust, for a server that speaks TLS.
    static final String S = System.getProperty("javax.net.ssl.trustStore") == null ? "" : "s";
    static boolean failed = false;

    interface Check { void run() throws Exception; }

    static void check(String name, Check check) {
        try {
            check.run();
            System.out.println("ok - java: " + name + (S.isEmpty() ? "" : " (TLS)"));
        } catch (Exception | AssertionError error) {
            failed = true;
            System.out.println("not ok - java: " + name + ": " + String.valueOf(error).split("\n")[0]);
        }
    }

    static void equal(Object got, Object wanted) {
        if (!wanted.equals(got)) throw new AssertionError("got " + got + ", wanted " + wanted);
    }

    /** Takes what a WebSocket hears: whole texts, the length of whole binary messages, and its end. */
    static class Heard implements WebSocket.Listener {
        final BlockingQueue<Object> queue = new LinkedBlockingQueue<>();
        final StringBuilder text = new StringBuilder();
        int bytes = 0;

        public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
            text.append(part);
            if (last) {
                queue.add(text.toString());
                text.setLength(0);
            }
            socket.request(1);
            return null;
        }

        public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer part, boolean last) {
            bytes += part.remaining();
            if (last) {
                queue.add(bytes);
                bytes = 0;
            }
            socket.request(1);
            return null;
        }

        public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            queue.add("closed with " + code);
            return null;
        }

        public void onError(WebSocket socket, Throwable error) {
            queue.add(error);
        }

        void next(Object wanted) throws InterruptedException {
            equal(queue.poll(BOUND, TimeUnit.SECONDS), wanted);
        }
    }

    static HttpClient client() {
        return HttpClient.newBuilder().cookieHandler(new CookieManager())
            .connectTimeout(Duration.ofSeconds(BOUND)).build();
    }

    static WebSocket open(HttpClient client, String port, Heard heard) throws Exception {
        return client.newWebSocketBuilder()
            .buildAsync(URI.create("ws" + S + "://localhost:" + port + "/websocket"), heard)
            .get(BOUND, TimeUnit.SECONDS);
    }

    /** Pushes a text to the client's own session, and returns the number of its WebSockets. */
    static String push(HttpClient client, String port, String text) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://localhost:" + port + "/push"))
            .timeout(Duration.ofSeconds(BOUND)).POST(BodyPublishers.ofString(text)).build();
        return client.send(request, BodyHandlers.ofString()).body();
    }

    public static void main(String[] ports) {
        check("text and binary come back, and the close is answered", () -> {
            Heard heard = new Heard();
            WebSocket socket = open(client(), ports[0], heard);
            String text = "žluťoučký kůň, 日本語, 🦀, \0";
            socket.sendText(text, true).get(BOUND, TimeUnit.SECONDS);
            heard.next(text);
            socket.sendBinary(ByteBuffer.allocate(LIMIT), true).get(BOUND, TimeUnit.SECONDS);
            heard.next(LIMIT);
            socket.sendClose(WebSocket.NORMAL_CLOSURE, "done").get(BOUND, TimeUnit.SECONDS);
            heard.next("closed with 1000");
        });
        check("a message over 1 MiB is told 1009", () -> {
            Heard heard = new Heard();
            open(client(), ports[0], heard).sendBinary(ByteBuffer.allocate(3 * LIMIT), true);
            heard.next("closed with 1009");
        });
        if (ports.length > 1) checkSessions(ports);
        System.exit(failed ? 1 : 0);
    }

    static void checkSessions(String[] ports) {
        check("a CookieManager keeps the session, from HTTP to a WebSocket", () -> {
            HttpClient client = client();
            Heard heard = new Heard();
            equal(push(client, ports[1], "to nobody"), "0");
            open(client, ports[1], heard);
            equal(push(client, ports[1], "to us"), "1");
            heard.next("to us");
        });
        check("a CookieManager keeps the session, from a WebSocket to HTTP and to another one", () -> {
            HttpClient client = client();
            Heard[] both = {new Heard(), new Heard()};
            for (Heard heard : both) open(client, ports[1], heard);
            equal(push(client, ports[1], "to both"), "2");
            for (Heard heard : both) heard.next("to both");
        });
    }
}
