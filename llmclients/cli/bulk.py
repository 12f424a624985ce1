"""The command `bulk`: its arguments, and what it does."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmclients.errors import ConfigurationError

__all__ = ["add_bulk", "bulk"]


def add_bulk(subparsers: Any, add_assignments: Callable[..., None], add_base_url: Callable[[Any], None]) -> None:
    """Add the command's parser; the two functions add what it has in common with others."""
    parser = subparsers.add_parser(
        "bulk",
        help="ask all rows of a file",
        description="Ask all rows of a file, and write the answers to another one. Whatever ends it, the same command "
        "goes on where it was.",
    )
    parser.add_argument("rows", metavar="IN", help="JSON lines, CSV or Parquet, with prompt or messages in each row")
    parser.add_argument("out", metavar="OUT", help="what is written, .jsonl or .parquet; OUT.journal is beside it")
    parser.add_argument("-p", "--provider", default="local", help="who is asked; default: the embedded model")
    parser.add_argument("-m", "--model", help="the model of rows that name none; default: the provider's own")
    parser.add_argument("--system", metavar="TEXT", help="the system message of rows that have none")
    add_assignments(parser, ("-o", "--option"), "an option of all rows, such as temperature=0; may be repeated")
    add_base_url(parser)
    parser.add_argument("--concurrency", type=int, default=200, metavar="N", help="rows at a time; default: 200")
    parser.add_argument("--template", metavar="TEXT", help="the prompt, with {column} where a row's column belongs")
    parser.add_argument(
        "--column", action="append", default=[], metavar="NAME", help="a column to keep in OUT; may be repeated"
    )
    parser.add_argument("--schema", metavar="FILE", help="the JSON Schema of the answers")
    parser.add_argument("--retry-failed", action="store_true", help="ask the rows again that failed before")
    parser.add_argument("--strict", action="store_true", help="end at the first row that cannot be asked")
    parser.add_argument(
        "--allow-changes", action="store_true", help="go on though IN, the model or an option has changed"
    )
    parser.add_argument(
        "--cache",
        action="append",
        default=[],
        metavar="FILE",
        help="an earlier OUT, whose answers serve; repeatable",
    )
    parser.add_argument("--requests", type=float, metavar="N", help="the most requests a minute")
    parser.add_argument("--tokens", type=float, metavar="N", help="the most tokens a minute")
    parser.add_argument(
        "--prices", type=float, nargs=2, metavar=("IN", "OUT"), help="of a million tokens of requests, and of answers"
    )
    parser.add_argument(
        "--cluster", metavar="URL", help="a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers ask the rows"
    )
    parser.add_argument("--report", metavar="FILE", help="write an HTML page about the run")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=True, help="say how far it is")
    parser.set_defaults(command="bulk", run=bulk)


def bulk(arguments: argparse.Namespace) -> int:
    """Ask all rows; 1 if some of them have failed."""
    from llmclients.bulk import Limits
    from llmclients.client import Client

    options = dict(arguments.option)
    if arguments.schema is not None:
        options["response_format"] = _schema(arguments.schema)
    limits = None
    if arguments.requests is not None or arguments.tokens is not None:
        limits = Limits(arguments.requests, arguments.tokens)
    with Client(arguments.provider, base_url=arguments.base_url, limits=limits) as client:
        try:
            report = client.bulk(
                arguments.rows,
                arguments.out,
                concurrency=arguments.concurrency,
                model=arguments.model,
                system=arguments.system,
                template=arguments.template,
                columns=arguments.column,
                retry_failed=arguments.retry_failed,
                strict=arguments.strict,
                allow_changes=arguments.allow_changes,
                cache=arguments.cache,
                prices=arguments.prices,
                progress=arguments.progress,
                report=arguments.report,
                cluster=arguments.cluster,
                **options,
            )
        except OSError as error:
            raise ConfigurationError(str(error)) from None
    print(report)
    return 0 if report.ok else 1


def _schema(path: str) -> Any:
    try:
        schema = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--schema: {path!r} is no JSON Schema: {error}", argument="schema") from None
    if not isinstance(schema, dict):
        raise ConfigurationError(f"--schema: {path!r} is no JSON Schema: it must be an object", argument="schema")
    return schema
