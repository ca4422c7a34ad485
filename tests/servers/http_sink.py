"""An HTTP receiver for tests that answers by script.

Listens on a free port of the loopback interface, prints {"port": N} as its first line and then one
JSON line per request. Each request takes the next word of the script, the last one for ever:

    200          that status, as any other number
    429:7        with Retry-After: 7 (seconds, or a date)
    echo         500, the request's headers in the body
    hang         reads the request and never answers
    drip         500, then an endless body, a byte at a time
    stall        200, then a body that never comes
    302          with Location: http://127.0.0.1:1/

With --secret the signature is checked here, by code that shares nothing with the sender. Ends when
standard input is closed, so that it cannot outlive a test that was killed.
"""

import argparse
import base64
import hashlib
import hmac
import http.server
import json
import os
import ssl
import sys
import threading
import time


def signature_holds(secret, headers, body):
    if any(headers.get(name) is None for name in ("webhook-id", "webhook-timestamp", "webhook-signature")):
        return False
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split(" "))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", default="200", help="words separated by spaces")
    parser.add_argument("--secret")
    parser.add_argument("--cert", help="speaks TLS with this certificate")
    parser.add_argument("--key")
    options = parser.parse_args()
    script = options.script.split(" ")
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            with lock:
                word = script.pop(0) if len(script) > 1 else script[0]
                request = {
                    "method": self.command,
                    "path": self.path,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "body": body.decode("utf-8", "replace"),
                    "answer": word,
                    "at": time.time(),
                }
                if options.secret:
                    request["signature_holds"] = signature_holds(options.secret, self.headers, body)
                print(json.dumps(request), flush=True)
            self.answer(word)

        do_GET = do_POST

        def answer(self, word):
            if word == "hang":
                threading.Event().wait()
            elif word == "stall":
                self.send_response(200)
                self.send_header("content-length", "1000")
                self.end_headers()
                threading.Event().wait()
            elif word == "drip":
                self.send_response(500)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(b"1\r\nx\r\n")
                        time.sleep(0.05)
                except OSError:
                    self.close_connection = True
            else:
                status, _, pause = word.partition(":")
                echo = status == "echo"
                body = str(self.headers) if echo else f"this is answer {status}"
                body = "" if status == "204" else body
                self.send_response(500 if echo else int(status))
                if pause:
                    self.send_header("retry-after", pause.replace("_", " "))
                if status.startswith("30"):
                    self.send_header("location", "http://127.0.0.1:1/")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.daemon_threads = True
    if options.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.cert, options.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None
    print(json.dumps({"port": server.server_address[1]}), flush=True)

    def watch():
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
