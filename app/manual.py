"""`docs/commands.md`, written from the commands themselves: `python -m app.manual > docs/commands.md`."""

import click

from app.cli import main

_INTRODUCTION = """\
# The command `helmetwatch`

Written from the commands' own help by `python -m app.manual`; a test holds it equal.
"""


def manual() -> str:
    """Every command with its sentence, arguments and options, as Markdown."""
    return "\n".join([_INTRODUCTION, *_describe(main, "helmetwatch")])


def _describe(command: click.Command, path: str) -> list[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    help_text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    lines = [f"## `{usage}`", "", help_text, ""]
    rows = [record for p in command.params if (record := p.get_help_record(context))]
    if rows:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [
            f"| `{names.replace('|', chr(92) + '|')}` | {text.replace('|', chr(92) + '|')} |"
            for names, text in rows
        ]
        lines.append("")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                lines += _describe(child, f"{path} {name}")
    return lines


if __name__ == "__main__":
    print(manual())
