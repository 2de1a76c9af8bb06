"""Links between the project's Markdown files."""
import re
import subprocess
from pathlib import Path


def without_code(text):
    """The text with code blocks and code spans blanked, lines kept."""
    text = re.sub(r"^( *)(```+).*?^\1\2\s*$", lambda m: "\n" * m[0].count("\n"), text, flags=re.S | re.M)
    return re.sub(r"(`+)[^`\n]+?\1", lambda m: " " * len(m[0]), text)


def anchors(path):
    """The anchors that GitHub gives the headings of a page."""
    found, text = {}, path.read_text()
    text = re.sub(r"^( *)(```+).*?^\1\2\s*$", "", text, flags=re.S | re.M)
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", text, re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
    return {a if i == 0 else f"{a}-{i}" for a, n in found.items() for i in range(n + 1)}


def check_links(root):
    """(file:line, message) for each link to a file or heading that is not there."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=root,
                            stdout=subprocess.PIPE, check=True).stdout.decode().split()
    for name in listed:
        page = Path(root) / name
        if not page.exists():
            continue
        for number, line in enumerate(without_code(page.read_text()).splitlines(), 1):
            targets = re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", line)
            targets += re.findall(r"(?:src|href)=\"([^\"]+)\"", line)
            for target in targets:
                if re.match(r"[a-z]+:", target):
                    continue
                file, _, anchor = target.partition("#")
                linked = (page.parent / file).resolve() if file else page
                if not linked.exists():
                    yield f"{name}:{number}", f"links to {file}, which is not there"
                elif anchor and (linked.suffix != ".md" or anchor not in anchors(linked)):
                    yield f"{name}:{number}", f"links to {target}, which has no such heading"
