"""Where these names were before; they are `oneword.query.query`'s."""

from oneword.query.query import Parts as Parts
from oneword.query.query import Where as Where
