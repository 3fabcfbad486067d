"""The front door: from argv to one command to an exit status.

Fire binds a command's arguments, but only after argv has been looked at here: on its own it would run a command before
it refuses a stray flag, and page its help. Help, version and usage errors need neither Fire nor torch.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from lighter import commands
from lighter.errors import LighterError, RunError, UsageError, did_you_mean
from lighter.launch import tell
from lighter.raised import what, where

DONE, FAILED, USAGE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141  # the last two as shells say it

_ELSEWHERE = "let the run write elsewhere: the logger's save_dir, or trainer::default_root_dir"
UNWRITABLE = {errno.EROFS: _ELSEWHERE, errno.ENOSPC: f"make room, or {_ELSEWHERE}"}

_OVERVIEW = """\
usage: lighter COMMAND SOURCE... [OVERRIDE...] [FLAGS]

Train deep-learning models from a YAML file, on PyTorch Lightning.

commands:
{commands}

A source is a YAML file, the folder of a run, or a checkpoint; several are merged
in order. An override changes one value:
  trainer::max_epochs=5     set            =system::model={{…}}   replace
  trainer::callbacks+={{…}}   append         ~trainer::logger      delete

examples:
  lighter fit config.yaml
  lighter fit config.yaml system::optimizer::lr=0.01
  lighter test config.yaml --ckpt best
  lighter test logs/version_0

lighter COMMAND --help tells more; lighter --version tells the version.
"""


def entry() -> NoReturn:
    """Run as a program: like `sys.exit(main())`, without the second that freeing torch's objects takes."""
    status = main()
    threading._shutdown()  # type: ignore[attr-defined] # as Python does: pools are told to end, then threads are joined
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 the run failed, 2 usage or config, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        return _main([argument for argument in arguments if argument != "--debug"], debug=debug)
    except LighterError as error:
        return _fail(error, debug=debug)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        return _fail(_run_error(error), debug=debug)


def _main(arguments: list[str], *, debug: bool) -> int:
    if not arguments:
        print(overview(), end="", file=sys.stderr)
        return USAGE
    name, *rest = arguments
    if name in ("--help", "-h", "help"):
        return _printed(lambda: print(overview(), end=""))
    if name in ("--version", "-V"):
        from lighter import __version__

        return _printed(lambda: print(f"lighter {__version__}"))
    if name not in commands.NAMES:
        suggestion = did_you_mean(name, commands.NAMES) or f"commands: {', '.join(commands.NAMES)}"
        raise UsageError(f"{name!r} is not a command", value=name, suggestion=suggestion)
    module = import_module(f"lighter.commands.{name}")
    if "--help" in rest or "-h" in rest:
        return _printed(lambda: print(command_help(module), end=""))
    job = _bind(name, module, rest)
    if not job.logs:
        return _printed(job.run)

    from lighter.log import setup_logging

    setup_logging(debug=debug)
    return job.run()


def _printed(run: Callable[[], int | None]) -> int:
    """Run what only prints; end quietly where its reader, such as `head`, has gone."""
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at the exit fails again
        return UNREAD
    return status or DONE


def overview() -> str:
    """Return the text of `lighter --help`."""
    lines = [f"  {name:<10}{import_module(f'lighter.commands.{name}').HELP_TEXT.summary}" for name in commands.NAMES]
    return _OVERVIEW.format(commands="\n".join(lines))


def command_help(module: ModuleType) -> str:
    """Return the text of `lighter COMMAND --help`."""
    text: commands.Help = module.HELP_TEXT
    flags = "\n".join(f"  {flag:<24}{meaning}" for flag, meaning in text.flags)
    examples = "\n".join(f"  {example}" for example in text.examples)
    return f"usage: {text.usage}\n\n{text.summary}\n\n{text.text}\n\nflags:\n{flags}\n\nexamples:\n{examples}\n"


def _bind(name: str, module: ModuleType, arguments: list[str]) -> commands.Job:
    """Let Fire bind the arguments of a command, which returns its job."""
    _check_flags(name, module, arguments)

    import fire
    from fire.decorators import SetParseFn

    command = SetParseFn(str)(module.run)
    switches = {flag for flag, _ in module.HELP_TEXT.flags if " " not in flag}
    arguments = [f"{argument}=True" if argument in switches else argument for argument in arguments]
    words = [*arguments, "--", "--separator=\0"]
    job: commands.Job = fire.Fire(command, command=words, name=f"lighter {name}", serialize=lambda _: None)
    return job


def _check_flags(name: str, module: ModuleType, arguments: list[str]) -> None:
    """Refuse what Fire would only refuse, or misread, later."""
    text: commands.Help = module.HELP_TEXT
    valued = {flag.split()[0] for flag, _ in text.flags if " " in flag}
    known = {flag.split()[0] for flag, _ in text.flags}
    given = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    if twice := next((flag for flag in given if given.count(flag) > 1), None):
        raise UsageError(f"{twice} is given twice", value=twice)
    for index, argument in enumerate(arguments):
        if not argument.startswith("-"):
            continue
        flag, equals, value = argument.partition("=")
        if flag not in known:
            suggestion = did_you_mean(flag, known) or f"lighter {name} takes {', '.join(sorted(known))}"
            raise UsageError(f"{flag!r} is not a flag of lighter {name}", value=flag, suggestion=suggestion)
        if equals and flag not in valued:
            raise UsageError(f"{flag} takes no value", value=argument)
        following = arguments[index + 1 : index + 2]
        if flag in valued and not (value if equals else following and not following[0].startswith("-")):
            raise UsageError(
                f"{flag} needs a value", value=flag, suggestion=next(f for f, _ in text.flags if flag in f)
            )


def _run_error(error: Exception) -> RunError:
    """Turn an exception of a run into one screen: what it is, and where in the user's code it came from."""
    frame = where(error)
    message = f"the run failed: {what(error)}" + (f"\n  {frame}" if frame else "")
    mend = UNWRITABLE.get(error.errno or 0) if isinstance(error, OSError) else None
    failure = RunError(message, suggestion=mend or "--debug shows more")
    failure.__cause__ = error
    return failure


def _fail(error: LighterError, *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    tell(error)
    return error.status
