"""`python -m oneword`: the command."""

from oneword.cli import main

main()
