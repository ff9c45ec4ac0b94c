#!/usr/bin/env python3
"""Make a capture whose flows should fire the rules of a file.

    make-rule-traffic.py RULES OUT.pcap [--limit N] [--sids FILE]

Each rule becomes one conversation of two hosts of its own: a TCP connection from its handshake to its end, or datagrams.
The options of a rule are taken as a recipe: contents are laid into their buffers where offset, depth, distance and within
want them, patterns are answered with a text that they match, sizes are padded, and the buffers are put together to a
request and a response of HTTP, a question of DNS, a ClientHello, or plain payload. Rules that depend on other rules (flowbits
that others set), on many packets (thresholds) or on protocols that the tool does not speak are left out and counted.

What the rules' author meant is not known here: whether a flow fires its rule is for the engines to say. Give the capture to two
of them and compare their alerts. Addresses: the home network is 10.0.0.0/8.
"""
import argparse
import random
import re
import signal
import struct
import sys
import warnings

try:
    from re import _parser as sre
except ImportError:  # Python before 3.11
    import sre_parse as sre


class Unsuitable(Exception):
    """Why a rule is left out."""


def split_options(body):
    """The options of a rule: text between semicolons, quotes and backslashes minded."""
    parts, current, quoted, escaped = [], "", False, False
    for char in body:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == ";" and not quoted:
            parts.append(current.strip())
            current = ""
            continue
        current += char
    for part in parts:
        if part:
            name, _, value = part.partition(":")
            yield name.strip(), value.strip()


def content_bytes(text):
    """The bytes of a content: text, with hexadecimal digits between bars."""
    out, index = bytearray(), 0
    while index < len(text):
        char = text[index]
        if char == "|":
            end = text.index("|", index + 1)
            out += bytes.fromhex(text[index + 1:end].replace(" ", ""))
            index = end + 1
        else:
            if char == "\\" and index + 1 < len(text):
                index += 1
                char = text[index]
            out += char.encode("utf-8")
            index += 1
    return bytes(out)


# MARK: texts that patterns match

def sample(tree, groups):
    """A text that a parsed pattern matches, as short as repetition allows."""
    out = bytearray()
    for op, argument in tree:
        name = str(op)
        if name == "LITERAL":
            out += bytes([argument & 0xFF])
        elif name == "NOT_LITERAL":
            out += bytes([next(c for c in b"xyz" if c != argument)])
        elif name == "ANY":
            out += b"x"
        elif name == "IN":
            out += bytes([pick(argument)])
        elif name == "BRANCH":
            out += sample(argument[1][0], groups)
        elif name == "SUBPATTERN":
            text = sample(argument[3], groups)
            groups[argument[0]] = text
            out += text
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low = argument[0]
            if low > 2000:
                raise Unsuitable("pcre repeats too often")
            for _ in range(low):
                out += sample(argument[2], groups)
        elif name == "GROUPREF":
            out += groups.get(argument, b"")
        elif name == "ATOMIC_GROUP":
            out += sample(argument, groups)
        elif name == "AT":
            continue
        elif name == "ASSERT":
            out += sample(argument[1], groups) if argument[0] > 0 else b""
        elif name == "ASSERT_NOT":
            continue
        else:
            raise Unsuitable("pcre with %s" % name)
    return bytes(out)


def pick(items):
    """A byte of a class, a letter or digit where there is one."""
    negated, allowed = False, set()
    for op, argument in items:
        name = str(op)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            allowed.add(argument)
        elif name == "RANGE":
            allowed.update(range(argument[0], min(argument[1], 255) + 1))
        elif name == "CATEGORY":
            kind = str(argument)
            word = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
            table = {"CATEGORY_DIGIT": set(b"0123456789"), "CATEGORY_SPACE": set(b" \t\n\r"), "CATEGORY_WORD": word}
            base = table.get(kind.replace("NOT_", ""), word)
            allowed |= set(range(256)) - base if "NOT_" in kind else base
    if negated:
        allowed = set(range(256)) - allowed
    for favourite in b"xaA1b0_-. /":
        if favourite in allowed:
            return favourite
    if not allowed:
        raise Unsuitable("pcre with an empty class")
    return min(allowed)


def answer(pattern, flags):
    """A text that a pattern matches, and the compiled pattern."""
    options = 0
    for flag, value in (("i", re.I), ("s", re.S), ("m", re.M), ("x", re.X)):
        if flag in flags:
            options |= value
    try:
        compiled = re.compile(pattern, options)
        tree = sre.parse(pattern, options)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unsuitable("pcre that Python does not read: %s" % error)
    return sample(tree, {}), compiled


# MARK: buffers

class Buffer:
    """Bytes of one buffer in the making."""

    def __init__(self, filler=b"x"):
        self.data = bytearray()
        self.cursor = 0
        self.filler = filler
        self.fixed = 0
        self.open_end = True

    def pad(self, length):
        while len(self.data) < length:
            self.data += self.filler

    def put(self, text, offset=None, depth=None, distance=None, within=None, endswith=False):
        relative = distance is not None or within is not None
        if relative:
            place = self.cursor + (distance or 0)
        else:
            place = offset or 0
            if offset is None and depth is None and len(self.data) > 0:
                found = bytes(self.data).find(text)
                if found >= 0:
                    self.cursor = found + len(text)
                    return
                place = len(self.data)
        place = max(0, place)
        if not relative and depth is not None and place < len(self.data):
            limit = (offset or 0) + depth
            while place + len(text) <= limit and self.data[place:place + len(text)] not in (
                    bytearray(text), self.filler * len(text)) and place < len(self.data):
                place += 1
        self.pad(place)
        if place + len(text) <= len(self.data) and relative is False:
            self.data[place:place + len(text)] = text
        else:
            self.data[place:] = text + bytes(self.data[place + len(text):])
        self.cursor = place + len(text)


RESPONSE = {"http.stat_code", "http.stat_msg", "http.server", "http.location", "http.response_line", "http.response_body",
            "http.response_header"}
REQUEST = {"http.uri", "http.uri.raw", "http.method", "http.host", "http.host.raw", "http.user_agent", "http.referer",
           "http.request_line", "http.request_body", "http.accept", "http.accept_lang", "http.accept_enc",
           "http.request_header"}
BOTH = {"http.header", "http.header.raw", "http.cookie", "http.content_type", "http.content_len", "http.connection",
        "http.protocol", "file.data"}
OLD = {"http_uri": "http.uri", "http_raw_uri": "http.uri.raw", "http_method": "http.method", "http_host": "http.host",
       "http_raw_host": "http.host.raw", "http_user_agent": "http.user_agent", "http_referer": "http.referer",
       "http_client_body": "http.request_body", "http_server_body": "http.response_body", "http_header": "http.header",
       "http_raw_header": "http.header.raw", "http_cookie": "http.cookie", "http_stat_code": "http.stat_code",
       "http_stat_msg": "http.stat_msg"}
STICKY = {"http_accept": "http.accept", "http_accept_lang": "http.accept_lang", "http_accept_enc": "http.accept_enc",
          "http_content_type": "http.content_type", "http_connection": "http.connection", "file_data": "file.data",
          "dns_query": "dns.query", "tls_sni": "tls.sni", "http_request_line": "http.request_line",
          "http_response_line": "http.response_line", "http_protocol": "http.protocol", "http_referer": "http.referer"}
KNOWN = RESPONSE | REQUEST | BOTH | {"dns.query", "tls.sni"}
PASSED = {"msg", "sid", "rev", "gid", "reference", "classtype", "metadata", "priority", "target", "fast_pattern", "nocase",
          "rawbytes", "noalert", "to_lowercase", "url_decode", "rem", "tag", "prefilter"}


class Recipe:
    """What a rule asks for."""

    def __init__(self, line):
        match = re.match(r"^\s*alert\s+(\S+)\s+(\S+)\s+(\S+)\s+(->|<>)\s+(\S+)\s+(\S+)\s*\((.*)\)\s*$", line)
        if not match:
            raise Unsuitable("no alert rule")
        self.protocol, self.source, self.source_port, _, self.destination, self.destination_port, body = match.groups()
        self.buffers, self.sizes, self.negated = {}, {}, []
        self.side, self.sid, self.message = None, 0, ""
        self.dotprefix = False
        self.http2 = False
        self.read(list(split_options(body)))

    def buffer(self, name):
        if name not in self.buffers:
            self.buffers[name] = Buffer()
        return self.buffers[name]

    def read(self, options):
        current, index = "payload", 0
        while index < len(options):
            name, value = options[index]
            index += 1
            if name in STICKY or name in KNOWN or name == "pkt_data":
                if name in OLD and index >= 2 and options[index - 2][0] == "content":
                    continue
                current = STICKY.get(name, name)
                current = "payload" if current == "pkt_data" else current
                self.dotprefix = False
            elif name == "dotprefix":
                self.dotprefix = True
            elif name in ("content", "uricontent"):
                modifiers = {}
                target = "http.uri" if name == "uricontent" else current
                while index < len(options) and (
                        options[index][0] in ("offset", "depth", "distance", "within", "endswith", "startswith", "nocase",
                                              "fast_pattern", "rawbytes") or options[index][0] in OLD
                        and options[index][1] == ""):
                    key, argument = options[index]
                    if key in OLD:
                        if current == "payload":
                            target = OLD[key]
                    else:
                        modifiers[key] = argument
                    index += 1
                self.content(target, value, modifiers)
            elif name == "pcre":
                self.pattern(current, value)
            elif name == "flow":
                words = re.split(r"[,\s]+", value)
                if "to_server" in words or "from_client" in words:
                    self.side = "request"
                elif "to_client" in words or "from_server" in words:
                    self.side = "response"
                if "not_established" in words or "only_stream" in words:
                    raise Unsuitable("flow:%s" % value)
            elif name in ("bsize", "urilen", "dsize"):
                self.size("http.uri" if name == "urilen" else "payload" if name == "dsize" else current, value)
            elif name == "isdataat":
                self.isdataat(current, value)
            elif name == "threshold":
                if "limit" not in value:
                    raise Unsuitable("threshold on many packets")
            elif name == "flowbits":
                if value.startswith("isset"):
                    raise Unsuitable("flowbits that another rule sets")
            elif name in ("xbits", "hostbits", "flowint") and "isset" in value and "isnotset" not in value:
                raise Unsuitable("%s that another rule sets" % name)
            elif name == "sid":
                self.sid = int(value)
            elif name == "msg":
                self.message = value
            elif name == "app-layer-protocol" or name in ("xbits", "hostbits", "flowint"):
                continue
            elif name not in PASSED:
                raise Unsuitable("the option %s" % name)

    def content(self, target, value, modifiers):
        negated = value.startswith("!")
        text = content_bytes(value.lstrip("!").strip()[1:-1])
        if negated:
            self.negated.append((target, text))
            return
        if self.dotprefix and text.startswith(b"."):
            text = text[1:]
        number = {}
        for key in ("offset", "depth", "distance", "within"):
            if key in modifiers:
                try:
                    number[key] = int(modifiers[key])
                except ValueError:
                    raise Unsuitable("a position that another option computes")
        if "startswith" in modifiers:
            number.update(offset=0, depth=len(text))
        buffer = self.buffer(target)
        if "endswith" in modifiers:
            buffer.open_end = False
        buffer.put(text, **number)

    def pattern(self, current, value):
        if value.startswith("!"):
            return
        match = re.match(r'^"/(.*)/([A-Za-z]*)"$', value, re.S)
        if not match:
            raise Unsuitable("a pcre that is not read")
        text, flags = match.groups()
        letters = {"U": "http.uri", "I": "http.uri.raw", "P": "http.request_body", "Q": "http.response_body",
                   "H": "http.header", "D": "http.header.raw", "M": "http.method", "C": "http.cookie", "S": "http.stat_code",
                   "Y": "http.stat_msg", "V": "http.user_agent", "W": "http.host", "Z": "http.host.raw"}
        target = next((letters[flag] for flag in flags if flag in letters), current)
        text, compiled = answer(text.encode("latin-1", "replace"), flags.replace("R", "").replace("U", ""))
        buffer = self.buffer(target)
        start = buffer.cursor if "R" in flags else 0
        found = compiled.search(bytes(buffer.data[start:]))
        if found:
            buffer.cursor = start + found.end()
            return
        tail = bytes(buffer.data[start:])
        for place in sorted({len(tail), 0, *(range(len(tail) + 1) if len(tail) < 200 else ())}, reverse=True):
            candidate = tail[:place] + text + tail[place:]
            found = compiled.search(candidate)
            if found:
                buffer.data[start:] = candidate
                buffer.cursor = start + found.end()
                return
        raise Unsuitable("a pcre that found no place")

    def size(self, target, value):
        value = value.replace(" ", "").split(",")[0]
        match = re.match(r"^(<=|>=|<|>|!)?(\d+)(?:<>(\d+))?$", value)
        if not match:
            raise Unsuitable("a size that is not read")
        operator, low, high = match.group(1), int(match.group(2)), match.group(3)
        wanted = low + 1 if operator == ">" or high else low
        if operator in ("<", "<=", "!"):
            return
        self.sizes[target] = max(self.sizes.get(target, 0), wanted)
        self.buffer(target)

    def isdataat(self, current, value):
        if value.startswith("!"):
            return
        words = [word.strip() for word in value.split(",")]
        if not words[0].isdigit():
            raise Unsuitable("isdataat with a variable")
        buffer = self.buffer(current)
        buffer.pad((buffer.cursor if "relative" in words else 0) + int(words[0]) + 1)

    # MARK: messages

    def get(self, name):
        """The bytes of a buffer, padded to its size; None when the rule does not speak of it."""
        if name not in self.buffers:
            return None
        buffer = self.buffers[name]
        size = self.sizes.get(name, 0)
        if len(buffer.data) < size:
            missing = buffer.filler * (size - len(buffer.data))
            if buffer.open_end:
                buffer.data += missing
            else:
                buffer.data[:0] = missing
        return bytes(buffer.data)

    def headers(self, fields, side):
        """Header lines of one side."""
        lines = b""
        for name in ("http.header", "http.header.raw", "http.%s_header" % side):
            extra = self.get(name)
            if extra is None or (side == "response") != (self.side == "response"):
                continue
            for line in re.split(rb"\r?\n", extra):
                if not line:
                    continue
                key = line.split(b":")[0].strip().lower()
                fields = [field for field in fields if field[0].lower() != key]
                lines += (line if b":" in line else b"X-Rule: " + line) + b"\r\n"
        return b"".join(key + b": " + value + b"\r\n" for key, value in fields) + lines

    def request(self):
        line = self.get("http.request_line")
        if line is None:
            method = self.get("http.method") or (b"POST" if "http.request_body" in self.buffers else b"GET")
            target = self.get("http.uri.raw") or self.get("http.uri") or b"/"
            if not target.startswith(b"/") and b"://" not in target:
                target = b"/" + target if self.sizes.get("http.uri", 0) != len(target) else target
            line = method + b" " + target.replace(b" ", b"%20") + b" " + (self.get("http.protocol") or b"HTTP/1.1")
        elif b"HTTP/" not in line:
            line += b" HTTP/1.1"
        body = self.get("http.request_body")
        if body is None and self.side == "request" and line.startswith((b"POST", b"PUT")):
            body = self.get("file.data")
        fields = [(b"Host", self.get("http.host") or self.get("http.host.raw") or b"www.example.org")]
        for name, key in (("http.user_agent", b"User-Agent"), ("http.referer", b"Referer"), ("http.accept", b"Accept"),
                          ("http.accept_lang", b"Accept-Language"), ("http.accept_enc", b"Accept-Encoding")):
            if self.get(name) is not None:
                fields.append((key, self.get(name)))
        if self.side != "response":
            fields += self.common()
        if body is not None:
            fields.append((b"Content-Length", str(len(body)).encode()))
        return line + b"\r\n" + self.headers(fields, "request") + b"\r\n" + (body or b"")

    def common(self):
        return [(key, self.get(name)) for name, key in (
            ("http.content_type", b"Content-Type"), ("http.connection", b"Connection")) if self.get(name) is not None] + (
                [(b"Cookie" if self.side != "response" else b"Set-Cookie", self.get("http.cookie"))]
                if self.get("http.cookie") is not None else [])

    def response(self):
        line = self.get("http.response_line")
        if line is None:
            line = b"HTTP/1.1 " + (self.get("http.stat_code") or b"200") + b" " + (self.get("http.stat_msg") or b"OK")
        body = self.get("http.response_body")
        if body is None and self.side != "request":
            body = self.get("file.data")
        body = body or b"ok"
        fields = []
        for name, key in (("http.server", b"Server"), ("http.location", b"Location")):
            if self.get(name) is not None:
                fields.append((key, self.get(name)))
        if self.side == "response":
            fields += self.common()
        fields.append((b"Content-Length", str(len(body)).encode()))
        return line + b"\r\n" + self.headers(fields, "response") + b"\r\n" + body

    def question(self):
        name = self.get("dns.query") or b"www.example.org"
        labels = b"".join(bytes([len(label)]) + label for label in name.split(b".") if 0 < len(label) < 64)
        return struct.pack(">HHHHHH", self.sid & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)

    def hello(self):
        name = self.get("tls.sni") or b"www.example.org"
        names = struct.pack(">BH", 0, len(name)) + name
        extension = struct.pack(">H", len(names)) + names
        extensions = struct.pack(">HH", 0, len(extension)) + extension
        random.seed(self.sid)
        body = b"\x03\x03" + bytes(random.randrange(256) for _ in range(32)) + b"\0" + struct.pack(">H", 4) + (
            b"\xc0\x2f\x00\x2f\x01\0") + struct.pack(">H", len(extensions)) + extensions
        return b"\x16\x03\x01" + struct.pack(">H", len(body) + 4) + b"\x01" + struct.pack(">I", len(body))[1:] + body

    def conversation(self):
        """(transport, what client and server say in turn, port of the server)."""
        names = set(self.buffers)
        if self.protocol in ("dns",) or "dns.query" in names:
            if names - {"dns.query"}:
                raise Unsuitable("dns and other buffers")
            return "udp", [("client", self.question())], 53
        if self.protocol == "tls" or "tls.sni" in names:
            if names - {"tls.sni"}:
                raise Unsuitable("tls beyond the server's name")
            return "tcp", [("client", self.hello())], 443
        if self.protocol == "http" or names & (REQUEST | RESPONSE | BOTH):
            if names & RESPONSE and self.side is None:
                self.side = "response"
            if names & REQUEST and self.side is None:
                self.side = "request"
            if "payload" in names:
                raise Unsuitable("http and payload")
            return "tcp", [("client", self.request()), ("server", self.response())], 80
        if self.protocol in ("tcp", "udp", "ip", "tcp-pkt", "tcp-stream"):
            payload = self.get("payload")
            if not payload or len(payload) > 20000:
                raise Unsuitable("no payload")
            who = "server" if self.side == "response" else "client"
            turns = [(who, payload)]
            if self.protocol != "udp" and who == "client":
                turns.append(("server", b"ok\r\n"))
            if self.protocol == "udp" and who == "server":
                turns.insert(0, ("client", b"?"))
            return "udp" if self.protocol == "udp" else "tcp", turns, 4444
        raise Unsuitable("the protocol %s" % self.protocol)

    def port(self, text, default):
        """A port that a header's list takes."""
        text = text.strip("[]")
        taken, refused = [], []
        for part in text.split(","):
            part = part.strip()
            (refused if part.startswith("!") else taken).append(part.lstrip("!").strip("[]"))
        for part in taken:
            part = {"any": str(default), "$HTTP_PORTS": "80", "$SSH_PORTS": "22", "$FTP_PORTS": "21", "$ORACLE_PORTS": "1521",
                    "$SHELLCODE_PORTS": "81", "$FILE_DATA_PORTS": "80"}.get(part, part)
            match = re.match(r"^(\d*):?(\d*)$", part)
            if match and (match.group(1) or match.group(2)):
                return int(match.group(1) or match.group(2))
        for candidate in (default, 8081, 31337):
            if not any(str(candidate) == part for part in refused):
                return candidate
        return default


# MARK: packets

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Capture:
    """A pcap of Ethernet frames, a millisecond apart."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        self.time = 1_700_000_000_000

    def packet(self, source, destination, protocol, transport):
        header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(transport), 1, 0x4000, 64, protocol, 0, source, destination)
        header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
        frame = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + header + transport
        self.time += 1
        self.file.write(struct.pack("<IIII", self.time // 1000, self.time % 1000 * 1000, len(frame), len(frame)))
        self.file.write(frame)

    def udp(self, source, destination, source_port, destination_port, data):
        segment = struct.pack(">HHHH", source_port, destination_port, 8 + len(data), 0) + data
        pseudo = source + destination + struct.pack(">BBH", 0, 17, len(segment))
        segment = segment[:6] + struct.pack(">H", checksum(pseudo + segment) or 0xFFFF) + segment[8:]
        self.packet(source, destination, 17, segment)

    def tcp(self, source, destination, source_port, destination_port, sequence, acknowledgement, flags, data=b""):
        segment = struct.pack(">HHIIBBHHH", source_port, destination_port, sequence & 0xFFFFFFFF,
                              acknowledgement & 0xFFFFFFFF, 0x50, flags, 65535, 0, 0) + data
        pseudo = source + destination + struct.pack(">BBH", 0, 6, len(segment))
        segment = segment[:16] + struct.pack(">H", checksum(pseudo + segment)) + segment[18:]
        self.packet(source, destination, 6, segment)

    def connection(self, client, server, client_port, server_port, turns):
        ends = {"client": [client, server, client_port, server_port, 1000], "server": [server, client, server_port,
                                                                                       client_port, 9000]}

        def send(who, flags, data=b""):
            own, other = ends[who], ends["server" if who == "client" else "client"]
            self.tcp(own[0], own[1], own[2], own[3], own[4], other[4] if flags & 0x10 else 0, flags, data)
            own[4] += len(data) + (1 if flags & 3 else 0)

        send("client", 0x02)
        send("server", 0x12)
        send("client", 0x10)
        for who, data in turns:
            for start in range(0, len(data), 1400):
                send(who, 0x18, data[start:start + 1400])
            send("server" if who == "client" else "client", 0x10)
        send("client", 0x11)
        send("server", 0x11)
        send("client", 0x10)


def address(text, index, is_source):
    """An address of its own for a side of a rule: at home, or outside."""
    low = struct.pack(">I", index & 0xFFFFF)
    match = re.search(r"(?<![\d!.])(\d+\.\d+\.\d+\.\d+)", text)
    if match and not text.startswith("!"):
        return bytes(int(part) for part in match.group(1).split("."))
    is_home = "HOME_NET" in text and "!" not in text or "_SERVERS" in text and "AIM" not in text
    if text == "any":
        is_home = is_source
    first = 10 if is_home else 203
    return bytes([first, (16 if is_source else 96) + (low[1] & 15), low[2], low[3]])


def too_long(*_):
    raise Unsuitable("takes too long to make")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rules")
    parser.add_argument("out")
    parser.add_argument("--limit", type=int, default=0, help="rules at most")
    parser.add_argument("--sids", help="file for the sids of the rules that have a flow")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, too_long)
    warnings.simplefilter("ignore")
    capture, made, left_out, sids = Capture(options.out), 0, {}, []
    for line in open(options.rules, encoding="utf-8", errors="replace"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            # Some patterns back up without end.
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            recipe = Recipe(line)
            transport, turns, port = recipe.conversation()
            is_reply = recipe.side == "response"
            source, destination = address(recipe.source, made, True), address(recipe.destination, made, False)
            if source == destination:
                raise Unsuitable("one address for both sides")
            own_port = recipe.port(recipe.source_port, 20000 + made % 40000)
            other_port = recipe.port(recipe.destination_port, port)
            if is_reply:
                own_port = recipe.port(recipe.source_port, port)
                other_port = recipe.port(recipe.destination_port, 20000 + made % 40000)
                client, server, client_port, server_port = destination, source, other_port, own_port
            else:
                client, server, client_port, server_port = source, destination, own_port, other_port
        except Unsuitable as reason:
            key = re.sub(r": .*", "", str(reason))
            left_out[key] = left_out.get(key, 0) + 1
            continue
        except (ValueError, IndexError, OverflowError) as error:
            key = "not read (%s)" % type(error).__name__
            left_out[key] = left_out.get(key, 0) + 1
            continue
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if transport == "tcp":
            capture.connection(client, server, client_port, server_port, turns)
        else:
            for who, data in turns:
                if len(data) > 60000:
                    continue
                if who == "client":
                    capture.udp(client, server, client_port, server_port, data)
                else:
                    capture.udp(server, client, server_port, client_port, data)
        sids.append(recipe.sid)
        made += 1
        if options.limit and made >= options.limit:
            break
    if options.sids:
        with open(options.sids, "w") as out:
            out.writelines("%d\n" % sid for sid in sids)
    print("flows for %d rules; left out %d:" % (made, sum(left_out.values())))
    for reason, count in sorted(left_out.items(), key=lambda item: -item[1])[:30]:
        print("%6d  %s" % (count, reason))


if __name__ == "__main__":
    sys.exit(main())
