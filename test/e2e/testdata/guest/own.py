# Prints what no two instances may have in common, and what each must have: a line of
# a name and a value each. The clock is read when a line comes, so that the host can
# tell when that was.
import os, random, ssl, time, uuid

print("ready", flush=True)
input()
print("clock", repr(time.time()), flush=True)


def read(path, n=-1):
    with open(path, "rb") as f:
        return f.read(n)


def hello():
    """A client's first words in TLS: 32 random bytes, and a key of X25519 (RFC 8446)."""
    out = ssl.MemoryBIO()
    peer = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="peer.test")
    try:
        peer.do_handshake()
    except ssl.SSLWantReadError:
        pass
    said = out.read()
    key = said.index(bytes.fromhex("003300260024001d0020")) + 10
    return said[11:43], said[key:key + 32]


def layout():
    """Where this program, its heap, a library and its stack are."""
    at = {}
    for line in read("/proc/self/maps").decode().splitlines():
        fields = line.split()
        at.setdefault(fields[5] if len(fields) > 5 else "", fields[0].split("-")[0])
    libc = next(at[path] for path in at if "/libc" in path)
    return " ".join([next(iter(at.values())), at["[heap]"], libc, at["[stack]"]])


nonce, key = hello()
for name, value in {
    "getrandom": os.urandom(16).hex(),
    "urandom": read("/dev/urandom", 16).hex(),
    "boot-id": read("/proc/sys/kernel/random/boot_id").decode().strip(),
    "machine-id": read("/etc/machine-id").decode().strip(),
    "kernel-uuid": read("/proc/sys/kernel/random/uuid").decode().strip(),
    "uuid": uuid.uuid4(),
    "random": random.random(),
    "hash-seed": hash("text"),
    "tls-random": nonce.hex(),
    "tls-key": key.hex(),
    "layout": layout(),
    "address": read("/sys/class/net/eth0/address").decode().strip(),
    "hostname": os.uname().nodename,
    "randomize": read("/proc/sys/kernel/randomize_va_space").decode().strip(),
}.items():
    print(name, value)
