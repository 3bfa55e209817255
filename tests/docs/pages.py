"""The commands of a page of the documentation: what is run, what is not and why, and what the page says they print."""

import re
import socket
from dataclasses import dataclass, field

# What a comment before a block may say of it.
DIRECTIVE = re.compile(
    r"<!-- (?:(?P<skip>not run): (?P<reason>.+)|not in core: (?P<slow>.+)|until: (?P<until>.+)|as: (?P<stand_in>.+)"
    r"|in the background(?:, until: (?P<ready>.+))?|(?P<end>end what runs)|fails: (?P<fails>.+)) -->"
)


@dataclass
class Command:
    """A command, and the lines that the page shows as its output (none: it shows none)."""

    text: str
    output: list = None


@dataclass
class Block:
    """A block of commands."""

    page: str
    line: int
    commands: list = field(default_factory=list)
    # Why it is not run; why the core leaves it out.
    not_run: str = None
    slow: str = None
    # A command that is repeated until it succeeds, after the block.
    until: str = None
    # What is run in place of its one command.
    stand_in: str = None
    # Its commands run until the next such block, or the page's end, each in a terminal of its own.
    background: bool = False
    # Those of earlier blocks are ended first.
    ends: bool = False
    # The exit status is not 0, as the page says, and this is why.
    fails: str = None

    def where(self):
        return f"{self.page}:{self.line}"


class Fault(Exception):
    """A page that can't be read as one whose commands are run."""


def read(path, name):
    """The blocks of a page. Code with a language in its fence is no command, unless it is `sh`."""
    blocks, notes, lines = [], [], path.read_text().splitlines()
    at = 0
    while at < len(lines):
        line, begun = lines[at], at + 1
        at += 1
        if fence := re.match(r"```(\w*)$", line):
            body = []
            while lines[at] != "```":
                body.append(lines[at])
                at += 1
            at += 1
            if not fence[1]:
                raise Fault(f"{name}:{begun}: this block has no language")
            if fence[1] == "sh":
                blocks.append(block(name, begun, body, notes))
            notes = []
        elif re.match(r"    +\S", line) and (begun == 1 or not lines[begun - 2].strip()):
            body = [line[4:]]
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                body.append(lines[at][4:])
                at += 1
            while body and not body[-1].strip():
                body.pop()
            blocks.append(block(name, begun, body, notes))
            notes = []
        elif line.startswith("<!--"):
            note = DIRECTIVE.fullmatch(line)
            if not note:
                raise Fault(f"{name}:{begun}: a comment that says nothing of the next block: {line}")
            notes.append(note)
        elif line.strip() and notes:
            raise Fault(f"{name}:{begun}: no block follows the comment")
    return blocks


def block(name, line, body, notes):
    made = Block(name, line, commands(body))
    for note in notes:
        if note["skip"]:
            made.not_run = note["reason"]
        elif note["slow"]:
            made.slow = note["slow"]
        elif note["stand_in"]:
            made.stand_in = note["stand_in"]
        elif note["end"]:
            made.ends = True
        elif note["fails"]:
            made.fails = note["fails"]
        elif note["until"]:
            made.until = note["until"]
        else:
            made.background, made.until = True, note["ready"]
    if made.stand_in and len(made.commands) != 1:
        raise Fault(f"{made.where()}: a stand-in for more than one command")
    return made


def commands(body):
    """Lines after `$ ` with what follows as their output; without any, every line is a command.

    >>> commands(["$ ls", "a", "b", "$ pwd"])
    [Command(text='ls', output=['a', 'b']), Command(text='pwd', output=[])]
    >>> commands(["a \\\\", "  b", "# c", "d"])
    [Command(text='a b', output=None), Command(text='d', output=None)]
    """
    found, shows = [], any(line.startswith("$ ") for line in body)
    for line in body:
        if shows and not line.startswith("$ "):
            if not found:
                raise Fault(f"output before a command: {line}")
            found[-1].output.append(line)
        elif found and not shows and found[-1].text.endswith("\\"):
            found[-1].text = found[-1].text[:-1] + line.strip()
        elif line.strip() and not line.startswith("#"):
            found.append(Command(line[2:], []) if shows else Command(line))
    return found


def plain(line):
    """A line without what differs from run to run: ids, numbers, units of time, names of hosts, widths of columns."""
    line = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID", line)
    line = re.sub(r"\b[0-9a-f]{8}\b", "ID", line)
    line = re.sub(rf"\b(pi-\d|node\d|{re.escape(socket.gethostname())})(?=\b)", "HOST", line)
    line = re.sub(r"\d+([.,:]\d+)*", "#", line)
    line = re.sub(r"# ?(us|ms|s)\b", "# s", line)
    return re.sub(r"\s+", " ", line).strip()


def differs(expected, printed):
    """What a page shows and the command did not print, in words; none when they agree. `...` stands for anything.

    >>> differs(["took 1.5 s on pi-1", "...", "3 done"], "took 280 ms on node2\\na\\nb\\n4 done\\n")
    >>> differs(['{"id":"fd6e59d0",...,"n":1}'], '{"id":"0a1b2c3d","x":null,"n":22}')
    >>> print(differs(["3 done"], "3 failed"))
    the page shows
          # done
    and it printed
          # failed
    >>> differs(["a"], "a\\nb") is None
    False
    """
    pattern, lines = "", [plain(line) for line in expected if line.strip()]
    for line in lines:
        if line == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part.strip()) for part in line.split("...")) + r" *\n"
    actual = "".join(plain(line) + "\n" for line in printed.splitlines() if line.strip())
    if re.fullmatch(pattern, actual):
        return None
    return "the page shows\n" + indent("\n".join(lines)) + "\nand it printed\n" + indent(actual)


def indent(text):
    return "\n".join("      " + line for line in text.splitlines())
