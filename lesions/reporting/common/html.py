"""What every HTML page of ours has: a policy that forbids it to load anything, and its images in itself."""

import base64
import re
from html import escape

# The browser itself refuses every address: whatever stands in the data, nothing leaves the computer.
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def data_uri(image: bytes) -> str:
    """Return a PNG or JPEG file as an address that holds it."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def code(text: str) -> str:
    """Return a sentence of ours as HTML: what stands between backquotes is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
