"""A worker that was taken over. Stands in the place of `worker.py` in the bundle, which is `honest.py` beside it.

It is as honest as any until it is told to build the module `taken`. Then it tries at the master what the connection
allows, tells what came of it as the output of that build, and hands back what nobody asked for.
"""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

_spec = importlib.util.spec_from_file_location("honest", Path(__file__).with_name("honest.py"))
assert _spec
assert _spec.loader
honest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(honest)

NAME, FORMER = os.environ["WORKERNAME"], os.environ["WORKERPASS"]
OTHERS = ("local-1", "local-2", "master", "debug", "change", "")
# what is no call of a worker's, at the master's objects that a worker is given
AT_AVATAR = ("forceBuild", "attached", "detached", "loseConnection", "remoteStartCommand", "getMaster", "__init__")
AT_COMMAND = ("run", "interrupt", "addStdout", "useLog", "update_msgpack", "unpack", "__getattribute__", "impl")
# jelly of what a worker does not send (twisted.spread.jelly)
ODD = (
    [b"function", b"os.system"],
    [b"class", b"subprocess.Popen"],
    [b"module", b"os"],
    [b"instance", [b"class", b"os._wrap_close"], [b"dictionary"]],
    [b"subprocess.Popen", [b"dictionary"]],
    [b"method", b"x", [b"None"], [b"class", b"os._wrap_close"]],
    [b"reduce", [b"function", b"os.system"], [b"tuple", b"true"]],
    [b"persistent", b"x"],
)


def take_over() -> None:
    from buildbot_worker import pb
    from twisted.internet import defer
    from twisted.spread.pb import respond

    known: dict[str, Any] = {"avatar": None, "is_taken": False}
    honest_start, honest_arrival = pb.WorkerForBuilderPbLike.remote_startCommand, pb.BotFactory.gotPerspective

    def arrived(factory: Any, perspective: Any) -> None:
        known["avatar"] = perspective
        honest_arrival(factory, perspective)

    async def came(what: str, answer: Any, found: dict[str, str]) -> None:
        try:
            found[what] = f"taken: {await answer!r}"[:200]
        except Exception as error:
            found[what] = f"refused: {getattr(error, 'remoteType', type(error).__name__)}"[:200]

    async def login(root: Any, name: str, password: bytes) -> Any:
        challenge, challenger = await root.callRemote("login", name.encode())
        return await challenger.callRemote("respond", respond(challenge, password), known["avatar"])

    def raw(command: Any, form: Any) -> Any:
        """As `callRemote("update", form)`, of a form that no honest end would write."""
        forms = [[b"tuple", form], [b"dictionary"]]
        command.broker.serialize = lambda *_, **__: forms.pop(0)
        try:
            return command.broker._sendMessage(b"", None, command.luid, b"update", (), {})
        finally:
            del command.broker.serialize

    async def attack(command: Any) -> None:
        found: dict[str, str] = {}
        root = command.broker.remoteForName("root")
        for name in OTHERS:
            for password in (FORMER.encode(), b"", b"None"):
                await came(f"log in as {name!r} with {'its former' if password else 'no'} password {len(password)}",
                           defer.ensureDeferred(login(root, name, password)), found)  # fmt: skip
        for method in AT_AVATAR:
            await came(f"avatar.{method}", known["avatar"].callRemote(method), found)
        for method in AT_COMMAND:
            await came(f"command.{method}", command.callRemote(method, []), found)
        for form in ODD:
            await came(f"jelly {form!r}", raw(command, form), found)
        # more than a log may have, by another way than a log, and by names that nobody knows
        for number in range(40):
            await command.callRemote("update", [[{"log": ("stdio", "x" * 60_000 + "\n")}, 0]])
            await command.callRemote("update", [[{f"unknown-{number}": "x" * 60_000}, 0]])
        await command.callRemote("update", [[{"stdout": f"attacks {json.dumps(found)}\n"}, 0]])
        await command.callRemote("update", [[{"rc": 0}, 0]])
        await command.callRemote("complete", None)

    async def hand_back(command: Any, args: dict[str, Any]) -> None:
        """Far more than was asked for, and again after it was closed."""
        writer = args["writer"]
        for _ in range(40):
            await writer.callRemote("write", b"x" * 500_000)
        await writer.callRemote("utime", (0, 0)).addErrback(lambda _: None)
        await writer.callRemote("close")
        for method in ("write", "close", "unpack", "purge", "cancel"):
            await writer.callRemote(method, *([b"x"] if method == "write" else [])).addErrback(lambda _: None)
        await command.callRemote("update", [[{"rc": 0}, 0]])
        await command.callRemote("complete", None)

    def start(self: Any, command_ref: Any, command_id: Any, command: Any, args: dict[str, Any]) -> Any:
        module = (args.get("env") or {}).get("KMODCI_MODULE")
        known["is_taken"] = known["is_taken"] or module == "taken"
        if not known["is_taken"]:
            return honest_start(self, command_ref, command_id, command, args)
        deed = attack(command_ref) if module else hand_back(command_ref, args)
        defer.ensureDeferred(deed).addErrback(lambda failure: failure.printTraceback())
        return None

    pb.WorkerForBuilderPbLike.remote_startCommand = start
    pb.BotFactory.gotPerspective = arrived


_then = honest.transfer_plain_files


def _both() -> None:
    _then()
    take_over()


honest.transfer_plain_files = _both
if __name__ == "__main__":
    honest.main()
