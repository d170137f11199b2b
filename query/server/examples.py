"""Examples of answers, for /openapi.json; those of bodies stand with the bodies."""

from typing import Any

_ITEM: dict[str, Any] = {
    "id": "8674693222888d6c",
    "modality": "image",
    "uri": "file:///photos/cat.jpg",
    "text": "our cat",
    "metadata": {"year": 2024, "tags": ["pets"]},
    "width": 640,
    "height": 480,
    "indexed_at": "2026-01-02T03:04:05+00:00",
}
_HIT = {
    "score": 0.71,
    **{name: _ITEM[name] for name in ("id", "modality", "uri", "text", "metadata")},
}
_RESULT: dict[str, Any] = {
    "hits": [_HIT],
    "total": 1200,
    "timings": {"encode_ms": 8.1, "search_ms": 1.9, "total_ms": 10.6},
    "model": "basic",
    "collection": "default",
    "version": 7,
    "low_confidence": 0.5,
}
_SHORT = {"name": "default", "items": 1200, "model": "basic", "view": "default", "dimension": 384, "version": 7}
_PROBLEM = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "code": "unknown_field",
    "detail": "there is no field 'lmit'; did you mean 'limit'?",
    "field": "lmit",
    "remedy": "Change it as said; all fields are in /openapi.json.",
    "request_id": "3f0c5a2e9b7d4c1f8e6a0b9d2c4f7e1a",
}
_JOB = {
    "id": "20260102T030405678901-0a1b2c3d",
    "collection": "default",
    "state": "running",
    "started": "2026-01-02T03:04:05.678901Z",
    "updated": "2026-01-02T03:04:15.1Z",
    "counts": {"inputs": 12, "indexed": 10, "unchanged": 1, "quarantined": 1},
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "ProblemOut": _PROBLEM,
    "ItemOut": _ITEM,
    "ResultOut": _RESULT,
    "ResultsOut": {"results": [_RESULT, {"error": {**_PROBLEM, "field": "queries[1].lmit"}}], "version": 7},
    "UpsertOut": {
        "added": 1,
        "updated": 0,
        "refused": 0,
        "version": 8,
        "items": [{"id": "note-1", "status": "added"}],
    },
    "ItemsOut": {"items": [_ITEM], "missing": ["note-9"]},
    "PageOut": {"items": [_ITEM], "cursor": None, "version": 7},
    "CountOut": {"count": 1200, "version": 7},
    "DeletedOut": {"deleted": 3, "version": 8},
    "CollectionsOut": {"collections": [_SHORT]},
    "CollectionOut": {
        **_SHORT,
        "by_modality": {"image": 1000, "text": 200},
        "space": {"fingerprint": "0123456789abcdef", "model": "basic", "view": "default", "dimension": 384},
        "metadata_keys": {"year": "number", "tags": "list of strings"},
        "quarantined": 2,
        "index": {"version": 7, "rows": 1200, "kind": "flat", "recall": 1.0, "goal": 0.99},
        "created": "2026-01-02T03:04:05+00:00",
        "updated": "2026-01-03T03:04:05+00:00",
        "bytes_on_disk": 9000000,
    },
    "CheckOut": {
        "right": True,
        "recall": 0.994,
        "goal": 0.99,
        "rows": 1200,
        "missing": 0,
        "extra": 0,
        "stale": 0,
        "fresh": 5,
        "differing": 0,
        "damaged": [],
    },
    "QuarantineOut": {
        "quarantined": [
            {
                "uri": "file:///photos/broken.jpg",
                "kind": "TruncatedImage",
                "reason": "/photos/broken.jpg: the picture ends early, after 1,024 bytes; get it again",
                "tries": 1,
                "first_seen": "2026-01-02T03:04:05+00:00",
                "last_tried": "2026-01-02T03:04:05+00:00",
            }
        ],
        "total": 1,
    },
    "BuildingOut": {"building": True},
    "StatusOut": {"status": "ready"},
    "MeOut": {
        "key": "k3y1d",
        "scope": "write",
        "keys": True,
        "jobs": False,
        "fetch": True,
        "max_body": 33554432,
        "version": "0.1.0",
    },
    "FacetsOut": {
        "fields": [
            {"name": "year", "kind": "number", "items": 900, "min": 1999, "max": 2026},
            {"name": "tags", "kind": "list of strings", "items": 300, "values": [{"value": "pets", "count": 120}]},
        ],
        "sampled": 1200,
        "total": 1200,
        "version": 7,
    },
    "MapOut": {
        "points": [{"id": _ITEM["id"], "x": 0.31, "y": -0.12, "modality": "image", "uri": _ITEM["uri"]}],
        "gap": {"centroid_distance": 0.52, "cross_modal_neighbours": 0.9},
        "explained": [0.11, 0.07],
        "sampled": 1000,
        "total": 1200,
        "version": 7,
    },
    "ModelsOut": {
        "object": "list",
        "data": [
            {"id": "basic", "object": "model", "created": 0, "owned_by": "oneword", "oneword": {"any_view": False}}
        ],
    },
    "EmbeddingsOut": {
        "object": "list",
        "model": "basic",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.01, -0.03]}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    },
    "Job": _JOB,
    "Jobs": {"jobs": [_JOB]},
}
"""By the name of the answer's schema."""
