"""`fieldfare user`: the people who sign in to the dashboard by name and password."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli.client import connected, request
from fleet.cli.new_passwords import PasswordFile, new_password
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import print_json, print_table
from fleet.requests.access import NewPassword, NewRole, NewUser
from fleet.views.access import UserView

app = typer.Typer(name="user", no_args_is_help=True, help="Let people sign in to the dashboard, each in a role.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="By which the person signs in.")]
RoleOption = Annotated[str, typer.Option("--role", help="viewer looks; operator also releases and rolls out; admin may do all.")]


@app.command()
def add(name: Name, role: RoleOption = "viewer", password_file: PasswordFile = None, folder: Folder = None) -> None:
    """Let a person in; the password is asked for twice."""
    with connected(folder) as api:
        api.send("POST", "users", request(NewUser, name=name, role=role, password=new_password(name, password_file)))
    typer.echo(f"added {name}, {role}")


@app.command("list")
def list_users(folder: Folder = None, as_json: AsJson = False) -> None:
    """List the people who sign in by a password."""
    with connected(folder) as api:
        found = api.get("users", tuple[UserView, ...])
    if as_json:
        print_json(found)
        return
    rows = [(each.name, each.role, f"{each.added_at:%Y-%m-%d}", f"{each.changed_at:%Y-%m-%d}") for each in found]
    print_table(("USER", "ROLE", "ADDED", "CHANGED"), rows, empty="no users yet; add the first with: fieldfare user add NAME --role admin")


@app.command()
def password(name: Name, password_file: PasswordFile = None, folder: Folder = None) -> None:
    """Set another password, and end the person's sessions."""
    with connected(folder) as api:
        api.send("PUT", f"users/{name}/password", request(NewPassword, password=new_password(name, password_file)))
    typer.echo(f"changed the password of {name}")


@app.command()
def role(name: Name, new: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator or admin.")], folder: Folder = None) -> None:
    """Set another role, and end the person's sessions."""
    with connected(folder) as api:
        api.send("PUT", f"users/{name}/role", request(NewRole, role=new))
    typer.echo(f"{name} is {new} now")


@app.command()
def remove(name: Name, folder: Folder = None) -> None:
    """Let a person in no more, and end the sessions."""
    with connected(folder) as api:
        api.order("DELETE", f"users/{name}")
    typer.echo(f"removed {name}")
