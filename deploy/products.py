"""`banka products`: look at the card products, check them before they are used, publish a version.

A version is a file, `products/<product>/<version>.yaml`. It is a draft, which no service looks at,
until it is published; from then on it is fixed, because applications begin with it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from shared.parameters import ParametersError
from shared.parameters.held import (
    FILES,
    PRODUCTS,
    PUBLISHED,
    SHIPPED,
    Held,
    Version,
    published_list,
    read_held,
)
from shared.parameters.load import default_folder
from shared.parameters.models import Clocks

products = typer.Typer(no_args_is_help=True, help="The card products and their versions.")

Folder = Annotated[
    Path | None,
    typer.Argument(help="folder of parameters; default: BANKA_PARAMETERS, else those that ship"),
]


@products.command("check")
def check(folder: Folder = None) -> None:
    """Say everything that is wrong, with file, line and column. Exit code 1 where something is."""
    held = _read(folder)
    for code, versions in held.products.items():
        for version, one in versions.items():
            typer.echo(f"{code} {version}: right{'' if one.published else ', not published yet'}")


@products.command("show")
def show(
    code: Annotated[str, typer.Argument(help="such as standard")],
    version: Annotated[str | None, typer.Argument(help="default: the newest")] = None,
    folder: Annotated[Path | None, typer.Option(help="default as for `check`")] = None,
) -> None:
    """Show a version of a product: since when it holds, its digest, its terms, its file."""
    held = _read(folder)
    one = _version(held, code, version)
    product = one.product
    typer.echo(f"{product.names.zh} / {product.names.en}")
    typer.echo(f"product     {code} {product.version}" + ("" if one.published else "  (a draft)"))
    typer.echo(f"valid from  {product.valid_from}")
    typer.echo(f"digest      {product.digest}")
    others = [other for other in held.products[code] if other != product.version]
    typer.echo(f"others      {', '.join(others) or 'none'}")
    typer.echo("terms")
    own, clocks = product.terms, held.file("clocks", Clocks)
    for name, value in own.over(clocks):
        source = "clocks.yaml" if getattr(own, name) is None else "its own"
        text = value
        if name == "material":
            text = (
                f"{value.working_days} working days,"
                f" reminder {value.remind_working_days_before} before"
            )
        typer.echo(f"  {name:<30}{text}  ({source})")
    typer.echo("")
    typer.echo((held.folder / one.text.name).read_text(encoding="utf-8"), nl=False)


@products.command("publish")
def publish(folder: Folder = None) -> None:
    """Fix every draft: services take it within seconds, and it holds from its `valid_from`.

    Exit code 1 where something is wrong; then nothing is published.
    """
    held = _read(folder)
    path = held.folder / PRODUCTS / PUBLISHED
    drafts = [
        f"{code} {version}"
        for code, versions in held.products.items()
        for version, one in versions.items()
        if not one.published
    ]
    if not drafts:
        typer.echo("everything is published")
        return
    incoming = path.with_suffix(".incoming")
    incoming.write_text(published_list(held), encoding="utf-8")
    incoming.replace(path)
    for draft in drafts:
        typer.echo(f"published {draft}")


@products.command("copy")
def copy(folder: Annotated[Path, typer.Argument(help="folder of parameters of your own")]) -> None:
    """Copy the parameters that ship into a folder, where they are not there yet, to go on from
    there. What the folder holds already stays as it is."""
    shipped = read_held(SHIPPED)
    names = [f"{name}.yaml" for name in FILES]
    names += [f"{PRODUCTS}/{code}/{version}.yaml" for code, version in shipped.digests()]
    new = [name for name in names if not (folder / name).exists()]
    for name in new:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SHIPPED / name, folder / name)
        typer.echo(f"copied {name}")
    if not new:
        typer.echo("nothing was missing")
    publish(folder)


def _read(folder: Path | None) -> Held:
    try:
        return read_held(folder or default_folder(), drafts=True)
    except ParametersError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _version(held: Held, code: str, version: str | None) -> Version:
    versions = held.products.get(code)
    if versions is None:
        typer.echo(f"there is no product {code}: {', '.join(held.products)}", err=True)
        raise typer.Exit(1)
    if version is not None and version not in versions:
        typer.echo(f"{code} has no version {version}: {', '.join(versions)}", err=True)
        raise typer.Exit(1)
    return versions[version or list(versions)[-1]]
