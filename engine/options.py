"""Options that several commands have in common."""

from typing import Annotated

import typer

Revision = Annotated[
    str | None, typer.Option(metavar="REV", help="Of a model of the hub: a branch, a tag or a commit.")
]
Dimensions = Annotated[
    int | None,
    typer.Option(min=1, help="Shorter vectors, for models trained for them (Matryoshka); see `oneword models`."),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Fuse operations with torch.compile: quicker after a minute (GPU).")
]
MaxTokensPerBatch = Annotated[
    int | None, typer.Option(min=1, help="Most tokens in one forward pass (E5-V); default: by free memory.")
]
