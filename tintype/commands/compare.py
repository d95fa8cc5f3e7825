"""`tintype compare`: recipes side by side, on the same photographs and under the same budget."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.comparison.methods.names import Method

Entries = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ENTRY]...",
        help="Each [LABEL=]CONFIG[:section.field=value,...], CONFIG being a recipe's name or a YAML file.",
        show_default=False,
    ),
]
QuestionName = Annotated[
    str | None,
    typer.Option(help="One that comes with Tintype (--questions lists them), or a YAML file.", show_default=False),
]


def _list_questions(wanted: bool) -> None:
    if not wanted:
        return
    from pipeline.comparison.entries import load_question, question_names

    for name in question_names():
        typer.echo(f"{name:<22} {load_question(name).title}")
    raise typer.Exit


OtherMethods = Annotated[
    list[Method] | None,
    typer.Option(
        "--method",
        help="welsh (colours of the most alike training photograph) or levin (spread from ten true hints): methods "
        "that learn nothing beforehand, shown beside the entries. May be repeated.",
        show_default=False,
    ),
]

ListQuestions = Annotated[
    bool, typer.Option("--questions", is_eager=True, callback=_list_questions, help="List the questions and exit.")
]
TestData = Annotated[
    str | None,
    typer.Option(help="Other photographs to measure on. [default: those of --data held out]", show_default=False),
]
SharedSettings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A field of every entry's config, as train.batch_size=16. May be repeated."),
]


def compare(
    data: Annotated[str, typer.Option(help="Photographs in colour: a folder, a .zip or a .tar.")],
    out: Annotated[Path, typer.Option(help="The comparison's folder; the same folder again goes on there.")],
    budget: Annotated[str, typer.Option(help="Of each entry's training: 10m, 90s, 1.5h or 500steps.")],
    configs: Entries = None,
    question: QuestionName = None,
    test_data: TestData = None,
    size: Annotated[int, typer.Option(min=16, help="Side in pixels at which all entries are measured.")] = 128,
    rows: Annotated[int, typer.Option(min=1, max=64, help="Photographs in the grid.")] = 6,
    methods: OtherMethods = None,
    settings: SharedSettings = None,
    questions: ListQuestions = False,
) -> None:
    """Train recipes under the same budget, measure them on the same photographs, and show them side by side.

    An entry is a recipe's name or a YAML file. Settings after a colon let one recipe stand twice, a label names it:

        tintype compare demo half=demo:train.batch_size=8,seed=3 --data photographs/ --budget 10m --out build/compared

    Settings of an entry win over --set. Questions that come with Tintype bring their own entries:

        tintype compare --question rgb_or_lab --data photographs.zip --budget 500steps --out build/rgb_or_lab

    Writes report.html, report.md, report.json, grid.png and curves.png, after each entry anew. The same command again
    keeps what is done and goes on where it was. One entry that fails stops no other; the exit code is 1 then.
    """
    from rich.console import Console

    from pipeline.comparison.comparison import Comparison, run_comparison
    from pipeline.comparison.entries import load_question, parse_budget, resolve_entries
    from pipeline.comparison.report import HTML_NAME

    console = Console(stderr=True)
    asked = load_question(question) if question is not None else None
    allowed = parse_budget(budget)
    entries = resolve_entries(configs or [], asked, settings or [], allowed)
    comparison = Comparison(
        title=asked.title if asked else ", ".join(entry.label for entry in entries),
        question=asked.question if asked else "",
        entries=tuple(entries),
        budget=allowed,
        data=data,
        test_data=test_data,
        size=size,
        rows=rows,
        methods=tuple(dict.fromkeys([*(asked.methods if asked else ()), *(methods or [])])),
    )
    try:
        report = run_comparison(
            comparison,
            out,
            say=lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on with what {out} holds", highlight=False)
        raise typer.Exit(130) from None

    _print_tables(report)
    Console().print(f"report: {out / HTML_NAME}", highlight=False, soft_wrap=True)
    raise typer.Exit(any(row["status"] != "done" for row in [*report["entries"], *report["methods"]]))


def _print_tables(report: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeline.comparison.figures import remarks, tables

    console = Console()
    # A table that a terminal wraps can still be read; one that loses a column cannot.
    console.width = max(console.width, 100)
    for figures in tables(report["entries"], report["methods"]):
        table = Table(title=figures.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("", overflow="fold")
        for heading in figures.short_headings:
            table.add_column(heading, justify="right", overflow="fold")
        for label, cells in figures.rows:
            table.add_row(Text(label), *(Text(cell.text, style="bold" if cell.best else "") for cell in cells))
        console.print(table)
    for label, words in remarks([*report["entries"], *report["methods"]]):
        console.print(Text.assemble((label, "bold"), f": {words}"), soft_wrap=True)
