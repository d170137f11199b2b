from .collection import Collection as Collection
from .config import StorageConfig as StorageConfig
from .errors import (
    BadFile as BadFile,
)
from .errors import (
    BadFragment as BadFragment,
)
from .errors import (
    BadItem as BadItem,
)
from .errors import (
    BadJobId as BadJobId,
)
from .errors import (
    BadName as BadName,
)
from .errors import (
    BadSearch as BadSearch,
)
from .errors import (
    BadSpace as BadSpace,
)
from .errors import (
    BadTag as BadTag,
)
from .errors import (
    CollectionExists as CollectionExists,
)
from .errors import (
    CollectionNotFound as CollectionNotFound,
)
from .errors import (
    DamagedCollection as DamagedCollection,
)
from .errors import (
    FilterError as FilterError,
)
from .errors import (
    ItemNotFound as ItemNotFound,
)
from .errors import (
    JobNotFound as JobNotFound,
)
from .errors import (
    Locked as Locked,
)
from .errors import (
    MissingFaiss as MissingFaiss,
)
from .errors import (
    MissingGpu as MissingGpu,
)
from .errors import (
    MissingKeywords as MissingKeywords,
)
from .errors import (
    MissingLance as MissingLance,
)
from .errors import (
    NeedsDirectory as NeedsDirectory,
)
from .errors import (
    NoRoom as NoRoom,
)
from .errors import (
    SpaceMismatch as SpaceMismatch,
)
from .errors import (
    StorageError as StorageError,
)
from .errors import (
    StoreUnavailable as StoreUnavailable,
)
from .errors import (
    VersionNotFound as VersionNotFound,
)
from .filters import (
    And as And,
)
from .filters import (
    AnyOf as AnyOf,
)
from .filters import (
    Contains as Contains,
)
from .filters import (
    Exists as Exists,
)
from .filters import (
    Filter as Filter,
)
from .filters import (
    Match as Match,
)
from .filters import (
    Not as Not,
)
from .filters import (
    Or as Or,
)
from .filters import (
    Range as Range,
)
from .filters import (
    filter_from_json as filter_from_json,
)
from .filters import (
    filter_to_json as filter_to_json,
)
from .filters import (
    parse_filter as parse_filter,
)
from .fragments import FragmentTarget as FragmentTarget
from .fragments import write_fragments as write_fragments
from .info import CollectionInfo as CollectionInfo
from .info import Compaction as Compaction
from .item import (
    Hit as Hit,
)
from .item import (
    Item as Item,
)
from .item import (
    Metadata as Metadata,
)
from .item import (
    Modality as Modality,
)
from .item import (
    UpsertCount as UpsertCount,
)
from .journal import JobRecord as JobRecord
from .journal import Journal as Journal
from .parquet import Exported as Exported
from .parquet import Imported as Imported
from .parquet import export_parquet as export_parquet
from .parquet import import_parquet as import_parquet
from .quarantine import (
    Quarantine as Quarantine,
)
from .quarantine import (
    Quarantined as Quarantined,
)
from .quarantine import (
    Refused as Refused,
)
from .search import (
    Hits as Hits,
)
from .search import (
    reciprocal_rank as reciprocal_rank,
)
from .search import (
    weighted as weighted,
)
from .store import Store as Store
from .versions import Version as Version
