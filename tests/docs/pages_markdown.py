"""Code blocks of a Markdown page, with the comments in front of them."""
import re
from dataclasses import dataclass, field


@dataclass
class Block:
    page: str  # relative to the project's root
    line: int  # of the fence, from 1
    language: str
    text: str
    not_run: str = ""
    file: str = ""
    in_main: bool = False
    setup: str = ""
    expects_output: bool = False
    tolerance: float = 0.0
    errors: list = field(default_factory=list)

    @property
    def where(self):
        return f"{self.page}:{self.line}"


def read_blocks(page, root):
    """The fenced blocks of a page in their order. Raises ValueError for a comment that it does not know."""
    name = str(page.relative_to(root)) if page.is_relative_to(root) else str(page)
    lines = page.read_text().splitlines()
    blocks, comments, i = [], [], 0
    while i < len(lines):
        line = lines[i]
        fence = re.match(r"( *)(```+)(\w*)\s*$", line)
        if fence:
            indent, ticks, language = fence.groups()
            end = next((j for j in range(i + 1, len(lines)) if lines[j].strip() == ticks), None)
            if end is None:
                raise ValueError(f"{name}:{i + 1}: a block without an end")
            text = "\n".join(s[len(indent):] if s.startswith(indent) else s for s in lines[i + 1:end]) + "\n"
            block = Block(name, i + 1, language, text)
            for comment in comments:
                apply_comment(block, comment)
            blocks.append(block)
            comments, i = [], end + 1
            continue
        if line.lstrip().startswith("<!--"):
            end = next((j for j in range(i, len(lines)) if "-->" in lines[j]), None)
            if end is None:
                raise ValueError(f"{name}:{i + 1}: a comment without an end")
            whole = "\n".join(lines[i:end + 1]).strip()
            comments.append(whole[len("<!--"):whole.rindex("-->")].strip())
            i = end + 1
            continue
        if line.strip():
            comments = []
        i += 1
    return blocks


def apply_comment(block, comment):
    if match := re.fullmatch(r"not run: (.+)", comment, re.S):
        block.not_run = " ".join(match[1].split())
    elif match := re.fullmatch(r"file: (\S+)", comment):
        block.file = match[1]
    elif match := re.fullmatch(r"output(?:, \+- ([\d.e-]+))?", comment):
        block.expects_output, block.tolerance = True, float(match[1] or 0)
    elif comment == "in main":
        block.in_main = True
    elif match := re.fullmatch(r"in main, after:\s*(.+)", comment, re.S):
        block.in_main, block.setup = True, match[1]
    else:
        raise ValueError(f"{block.where}: a comment that check_pages.py does not know: {comment!r}")
