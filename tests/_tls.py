"""
Certificates, made here and for a day, and peers that speak TLS by Python's own module.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
import socket
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from _reactors import LIMIT, Recorder, must, run
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from twisted_casync import CAsyncSocket
from twisted_casync.tls import clientOptions, connectTLS, listenTLS, serverOptions

LOCALHOST = "127.0.0.1"

_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)

# Goes with the process.
_folder = tempfile.TemporaryDirectory(prefix="twisted-casync-tls-")


@dataclass(frozen=True)
class Identity:
    """
    A certificate and its key.

    @ivar key: the file of the key.
    @ivar certificate: the file of the certificate.
    @ivar both: the file of both.
    """

    name: str
    signer: Any
    made: x509.Certificate
    key: Path
    certificate: Path
    both: Path


@functools.cache
def identity(name: str, issuer: str | None = None, *, isAuthority: bool = False, days: int = 1) -> Identity:
    """
    @param name: for whom: a host name or an address.
    @param issuer: the authority that signs it; L{None} for itself.
    @param days: until when it is valid; negative for one that is not any more.
    """
    signer = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = authority(issuer) if issuer is not None else None
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    identified = x509.SubjectKeyIdentifier.from_public_key
    identifiedBy = x509.AuthorityKeyIdentifier.from_issuer_public_key
    uses = {"digital_signature", "key_cert_sign", "crl_sign"} if isAuthority else {"digital_signature"}
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if above is None else above.made.subject)
        .public_key(signer.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=isAuthority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        # What RFC 5280 asks for (4.2.1), and a client of Python 3.13 and later.
        .add_extension(identified(signer.public_key()), critical=False)
        .add_extension(identifiedBy((signer if above is None else above.signer).public_key()), critical=False)
        .add_extension(x509.KeyUsage(**{use: use in uses for use in _USES}), critical=True)
        .sign(signer if above is None else above.signer, hashes.SHA256())
    )
    key = signer.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = made.public_bytes(serialization.Encoding.PEM)
    stem = f"{len(list(Path(_folder.name).iterdir()))}"
    files = {"key": key, "certificate": certificate, "both": key + certificate}
    paths = {each: Path(_folder.name, f"{stem}-{each}.pem") for each in files}
    for each, data in files.items():
        paths[each].write_bytes(data)
    return Identity(name, signer, made, **paths)


def authority(name: str = "authority.example") -> Identity:
    """
    @return: one that signs others.
    """
    return identity(name, isAuthority=True)


def server(name: str = "localhost", **options: Any) -> Any:
    """
    @return: the options of a server whose certificate the authority has signed.
    """
    own = identity(name, "authority.example")
    return serverOptions(own.key, own.certificate, **options)


def client(host: str = "localhost", **options: Any) -> Any:
    """
    @return: the options of a client that trusts the authority.
    """
    return clientOptions(host, trustRoot=authority().certificate, **options)


def listeningTLS(reactor: Any, options: Any = None, timeout: float = 30.0, **handlers: Any) -> Recorder:
    """
    @return: a socket that listens for TLS at a free port.
    """
    door = Recorder(reactor, **handlers)
    listenTLS(door, 0, server() if options is None else options, interface=LOCALHOST, timeout=timeout)
    return door


def tlsPair(reactor: Any, near: CAsyncSocket, far: CAsyncSocket) -> CAsyncSocket:
    """
    Connect two closed sockets over TLS.  When the reactor runs C{near} is told C{OnConnect}; C{far} is accepted then,
    or soon after.

    @return: the socket that accepts; to be closed when C{far} is connected.
    """

    def accept(door: Recorder) -> None:
        must(door.Accept(far))

    door = listeningTLS(reactor, OnAccept=accept)
    # By its address: what name it has is the machine's business.
    options = clientOptions("localhost", trustRoot=authority().certificate)
    connectTLS(near, LOCALHOST, addressOf(door)[1], options)
    return door


def plainClient(**does: Any) -> ssl.SSLContext:
    """
    @return: a context of Python's own that trusts the authority.
    """
    return ssl.create_default_context(cafile=str(authority().certificate), **does)


def play(reactor: Any, *steps: tuple[Callable[[], object], Callable[[], object]]) -> None:
    """
    Run a reactor through some steps: each time what is waited for holds, do what follows.
    """
    left = list(steps)

    def ended() -> bool:
        while left and left[0][0]():
            left.pop(0)[1]()
        return not left

    run(reactor, ended)


def nothing() -> None:
    """
    What a last step does.
    """


class Aside(Thread):
    """
    What blocks, in a thread of its own.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.result: Any = None
        self.problem: BaseException | None = None
        self.start()

    def run(self) -> None:
        """
        Do it.
        """
        try:
            self.result = self._work()
        except BaseException as problem:
            self.problem = problem

    def ended(self) -> bool:
        """
        @return: whether it is done.
        @raise BaseException: what has come of it instead.
        """
        if self.is_alive():
            return False
        if self.problem is not None:
            raise self.problem
        return True


def dial(address: tuple[str, int], context: ssl.SSLContext | None = None, name: str = "localhost") -> ssl.SSLSocket:
    """
    Connect with Python's own TLS, which blocks.
    """
    plain = socket.create_connection(address, LIMIT)
    return (context or plainClient()).wrap_socket(plain, server_hostname=name)


def addressOf(door: CAsyncSocket) -> tuple[str, int]:
    """
    @return: where a socket listens.
    """
    host, port = must(door.GetSockName())
    return host, port


def lines(logged: Any) -> list[str]:
    """
    @return: what a reader of the log sees beside mere information.  A traceback fails the test.
    """
    assert [event["log_failure"] for event in logged if "log_failure" in event] == []
    return [event["log_format"].format(**event) for event in logged if event["log_level"].name not in ("info", "debug")]
