"""PDFs and TIFFs that tests make."""

from __future__ import annotations

import io
from collections.abc import Sequence

import PIL.Image


def pdf(
    *pages: str, sizes: Sequence[tuple[float, float]] = (), rotate: int = 0, extra: str = "", info: str = ""
) -> bytes:
    """A PDF whose pages each say a text in Helvetica. extra: of the catalog, info: of the document's information."""
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {extra} >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{5 + 2 * n} 0 R' for n in range(len(pages)))}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< {info} >>",
    ]
    for number, text in enumerate(pages):
        width, height = sizes[number] if number < len(sizes) else (300, 400)
        lines = "".join(f"({line}) Tj 0 -40 Td " for line in text.split("\n"))
        content = f"BT /F1 20 Tf 30 300 Td {lines}ET"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Rotate {rotate} "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {6 + 2 * number} 0 R >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    return assembled(objects, info=4)


def assembled(objects: Sequence[str], info: int = 0) -> bytes:
    """A PDF of objects, of which the first is the catalog."""
    file = io.BytesIO()
    file.write(b"%PDF-1.7\n")
    places = []
    for number, one in enumerate(objects, start=1):
        places.append(file.tell())
        file.write(f"{number} 0 obj\n{one}\nendobj\n".encode("latin-1"))
    start = file.tell()
    file.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    file.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    about = f"/Info {info} 0 R" if info else ""
    file.write(f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {about} >>\nstartxref\n{start}\n%%EOF\n".encode())
    return file.getvalue()


def tiff(*colors: str, size: tuple[int, int] = (40, 30)) -> bytes:
    """A TIFF with a page of each color."""
    file = io.BytesIO()
    first, *others = (PIL.Image.new("RGB", size, color) for color in colors)
    first.save(file, "TIFF", save_all=True, append_images=others)
    return file.getvalue()


def form(value: str) -> bytes:
    """A PDF with a form that has a value, and with how that is drawn."""
    drawn = f"/Tx BMC BT /F1 20 Tf 5 10 Td ({value}) Tj ET EMC"
    return assembled(
        [
            "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [5 0 R] /DR << /Font << /F1 3 0 R >> >> >> >>",
            "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] /Annots [5 0 R] >>",
            f"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V ({value}) /Rect [20 300 200 340] /F 4 "
            "/DA (/F1 20 Tf 0 g) /AP << /N 6 0 R >> >>",
            f"<< /Type /XObject /Subtype /Form /BBox [0 0 180 40] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        ]
    )


def locked() -> bytes:
    """A PDF that nobody can open without its password, which does not matter: these are keys of noise."""
    noise = "".join(f"{one:02x}" for one in range(7, 39))
    encrypt = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{noise}> /U <{noise}> /P -4 >> /ID [<{noise}> <{noise}>]"
    return pdf("secret").replace(b"/Root 1 0 R", f"/Root 1 0 R {encrypt}".encode())
