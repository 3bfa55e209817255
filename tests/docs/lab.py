"""Where the commands run: this machine, or the swarm of tests/swarm/swarm-lab."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests/swarm/swarm-lab"
NODES = ["node1", "node2", "node3"]

# Programs that the comments of docs/swarm.md name.
HELPERS = {
    # Runs a command of the page with the address of the node that web is on: the lab has no routing mesh.
    "at-web": """#!/bin/bash
set -euo pipefail
node=$(docker service ps --filter desired-state=running --format '{{.Node}}' swarmq_web | head -n 1)
address=SWARM_LAB_ADDR_$node
exec "$@" --url "http://${!address}:3000"
""",
    # Every requester worker has a reply.
    "answers": """#!/bin/bash
exec at-web swarmq request --param payload=x --task echo
""",
    # Every service has as many tasks as it should, and no update is under way.
    "settled": """#!/bin/bash
set -euo pipefail
services=$(docker stack services --format '{{.Replicas}}' swarmq)
awk '{ split($1, n, "/"); if (n[1] != n[2]) exit 1 }' <<< "$services"
states=$(docker service inspect --format '{{with .UpdateStatus}}{{.State}}{{end}}' $(docker stack services -q swarmq))
! grep -qE 'updating|paused|rollback_started' <<< "$states"
answers
""",
    # The commands are run as root, where a machine may have no sudo.
    "sudo": '#!/bin/sh\nexec "$@"\n',
}


class Machine:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def here(self, text):
        return text


class Lab:
    """A swarm of three nodes, with the image under the names that docs/swarm.md uses; taken down at the end."""

    def __init__(self, folder, variables):
        self.folder, self.variables = folder, variables
        self.net = os.environ.get("SWARM_LAB_NET", "192.168.231")

    def __enter__(self):
        for name, text in HELPERS.items():
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)
        self.call("up", "3")
        try:
            self.load(os.environ.get("IMAGE", "swarmq:1"))
            settings = re.findall(r"^export (\w+)=(.*)$", self.call("env"), re.MULTILINE)
            self.variables.update(settings)
            for name in ("IMAGE", "WEB_PORT", "ADMIN_TOKEN"):
                self.variables.pop(name, None)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if "KEEP" not in os.environ:
            self.call("down")

    def call(self, *args):
        return subprocess.run([LAB, *args], check=True, stdout=subprocess.PIPE, text=True).stdout

    def load(self, image):
        """Brings the image to every node, under the names that the page has for a first and a second version."""
        second, registry = "swarmq-docs:2", f"{self.net}.11:5000"
        text = f"FROM {image}\nENV SWARMQ_INSTANCE__VERSION=2\n"
        build = ["docker", "build", "--quiet", "--tag", second, "-"]
        subprocess.run(build, input=text, text=True, check=True, stdout=subprocess.PIPE)
        with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
            subprocess.run(["docker", "save", "--output", archive.name, image, second], check=True)
            self.call("load", archive.name)
        subprocess.run(["docker", "rmi", second], check=True, stdout=subprocess.PIPE)
        names = [(image, "swarmq:1"), (image, f"{registry}/swarmq:1"), (second, f"{registry}/swarmq:2")]
        for node in NODES:
            for known, name in names:
                self.call("docker", node, "tag", known, name)

    def here(self, text):
        """The lab's names of nodes, and its addresses."""
        text = re.sub(r"\bpi-(\d)\b", r"node\1", text)
        return text.replace("192.168.1.", f"{self.net}.")
