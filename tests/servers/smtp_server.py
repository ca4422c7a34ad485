"""An SMTP server for tests: real protocol, real TLS, throw-away everything.

Listens on a free port of the loopback interface, prints {"port": N} as its first line and then one
JSON line per message it has taken, decoded by Python's own mail parser. Ends when standard input
is closed, so that it cannot outlive a test that was killed.
"""

import argparse
import asyncio
import base64
import email
import email.policy
import json
import logging
import ssl
import sys
import threading
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


def say(value):
    print(json.dumps(value), flush=True)


class Handler:
    def __init__(self, options):
        self.options = options

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address in self.options.unknown:
            return "550 5.1.1 no such mailbox"
        if address in self.options.busy:
            return "451 4.3.0 mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        leaves = [part for part in message.walk() if not part.is_multipart()]
        parts = {part.get_content_type(): part.get_content() for part in leaves if part.get_content_maintype() == "text"}
        pictures = [
            {
                "id": part["Content-ID"],
                "disposition": part.get_content_disposition(),
                "type": part.get_content_type(),
                "base64": base64.b64encode(part.get_content()).decode(),
            }
            for part in leaves
            if part.get_content_maintype() == "image"
        ]
        say(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "tls": session.ssl is not None or self.options.tls == "implicit",
                "user": session.auth_data,
                "headers": [[name, str(value)] for name, value in message.items()],
                "structure": [part.get_content_type() for part in message.walk()],
                "parts": parts,
                "pictures": pictures,
            }
        )
        return "451 4.3.0 try again" if self.options.lose_reply else "250 OK"


async def serve(options):
    context = None
    if options.tls != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.cert, options.key)

    def authenticate(server, session, envelope, mechanism, data):
        given = f"{data.login.decode()}:{data.password.decode()}"
        good = given == options.auth
        return AuthResult(success=good, handled=False, auth_data=data.login.decode() if good else None)

    def protocol():
        return SMTP(
            Handler(options),
            tls_context=context if options.tls == "starttls" else None,
            require_starttls=options.tls == "starttls",
            authenticator=authenticate if options.auth else None,
            auth_required=bool(options.auth),
            auth_require_tls=options.tls == "starttls",
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
        )

    implicit = context if options.tls == "implicit" else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", options.port, ssl=implicit)
    say({"port": server.sockets[0].getsockname()[1]})
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch():
        sys.stdin.read()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=watch, daemon=True).start()
    await done.wait()


def main():
    # Failed handshakes and AUTH without TLS are what the tests are about.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--auth", help="user:password that is demanded")
    parser.add_argument("--unknown", action="append", default=[], help="address refused with 550")
    parser.add_argument("--busy", action="append", default=[], help="address put off with 451")
    parser.add_argument("--lose-reply", action="store_true", help="take the message, then answer 451")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
