"""Reads peer events from an agent's socket with the stock protobuf runtime, as an application could.

    peer_events.py SOCKET AGENT_PROTO    prints the present state, one JSON object per event, up to SYNCED
"""

import importlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile

from google.protobuf.internal.decoder import _DecodeVarint32
from google.protobuf.internal.encoder import _VarintBytes
from google.protobuf.json_format import MessageToDict


def load_messages(proto):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["protoc", f"--python_out={folder}", f"-I{proto.parent}", proto.name], check=True)
        sys.path.insert(0, folder)
        return importlib.import_module(proto.stem.replace("-", "_") + "_pb2")


def send(connection, message):
    body = message.SerializeToString()
    connection.sendall(_VarintBytes(len(body)) + body)


def responses(connection, kind):
    buffer = b""
    while True:
        try:
            length, start = _DecodeVarint32(buffer, 0)
            complete = len(buffer) >= start + length
        except IndexError:
            complete = False
        if not complete:
            chunk = connection.recv(65536)
            if not chunk:
                return
            buffer += chunk
            continue
        yield kind.FromString(buffer[start:start + length])
        buffer = buffer[start + length:]


def main():
    path, proto = sys.argv[1], pathlib.Path(sys.argv[2])
    messages = load_messages(proto)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(path)
    request = messages.Request(id=1)
    request.subscribe_peer_events.SetInParent()
    send(connection, request)
    for response in responses(connection, messages.Response):
        assert response.id == 1, response
        event = response.peer_event
        print(json.dumps(MessageToDict(event, preserving_proto_field_name=True)))
        if event.kind == messages.PeerEvent.SYNCED:
            return


main()
