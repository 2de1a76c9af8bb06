#!/usr/bin/env python3
"""Photos and captions to a page that shows which photos answer a query.

    python search_page.py                                   # without photos: with pictures that it draws
    python search_page.py PHOTOS captions.tsv "a dog in the snow" "two boats"

PHOTOS is a folder of images. Lines of captions.tsv are a file name, a tab and a caption; with an empty file name, the
caption belongs to no photo. Photos need no caption: alignment needs few pairs. Needs Pillow; uses wordllama if it is
installed (a text encoder whose package brings its weights).
"""
import argparse
import base64
import html
import io
import itertools
import random
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import sotalign


def encode_images(paths):
    """A stand-in for an image encoder: histograms of colours and of the directions of edges, [n, 72]."""
    # A real encoder goes here, any one that gives a row for each image:
    #   model = timm.create_model("vit_large_patch14_dinov2.lvd142m", pretrained=True, num_classes=0).eval()
    #   prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    #   return torch.cat([model(prepare(Image.open(path).convert("RGB"))[None]) for path in paths])
    rows = []
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((64, 64)))
        colours = np.bincount((pixels // 64 @ [16, 4, 1]).ravel(), minlength=64)
        dy, dx = np.gradient(pixels.mean(axis=2))
        edges, _ = np.histogram(np.arctan2(dy, dx) % np.pi, bins=8, range=(0, np.pi), weights=np.hypot(dx, dy))
        rows.append(np.concatenate([np.sqrt(colours / colours.sum()), np.sqrt(edges / max(edges.sum(), 1e-9))]))
    return np.array(rows, np.float32)


def encode_texts(texts):
    """Mean token vectors [n, 256] of wordllama, or hashed character trigrams [n, 512] without it."""
    # A real encoder: SentenceTransformer("sentence-transformers/all-mpnet-base-v2").encode(texts)
    try:
        import wordllama
    except ImportError:
        rows = np.zeros((len(texts), 512), np.float32)
        for row, text in zip(rows, texts):
            for i in range(len(text) - 2):
                row[zlib.crc32(text[i : i + 3].lower().encode()) % 512] += 1
        return rows
    # Its tokenizer is in the package, but is only looked for in the cache.
    package = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=package, disable_download=True).embed(texts)


def draw(folder, count=900):
    """Pictures of shapes, and the captions of some of them: lines as in captions.tsv."""
    colours = {"red": "#d22", "yellow": "#ee2", "pink": "#f8b", "brown": "#740"}
    places = {"at night": "#112", "in the grass": "#3a3", "in the snow": "#eef", "under water": "#26d"}
    chosen, lines = random.Random(0), []
    kinds = list(itertools.product(colours, ("disc", "square", "triangle"), places))
    for i in range(count):
        colour, shape, place = chosen.choice(kinds)
        size, caption = chosen.randint(20, 50), f"a {colour} {shape} {place}"
        x, y = chosen.randint(2, 94 - size), chosen.randint(2, 94 - size)
        picture = Image.new("RGB", (96, 96), places[place])
        pen, box = ImageDraw.Draw(picture), (x, y, x + size, y + size)
        if shape == "triangle":
            pen.polygon([(x, y + size), (x + size, y + size), (x + size / 2, y)], fill=colours[colour])
        else:
            (pen.ellipse if shape == "disc" else pen.rectangle)(box, fill=colours[colour])
        picture.save(folder / f"{i:03} {caption}.png")
        # The first 150 are pairs; of the others, the captions are there in another order.
        lines.append((f"{i:03} {caption}.png" if i < 150 else "", caption))
    return lines[:150] + lines[:149:-1]


def page(queries, photos, scores, rows):
    """One file without references to others."""
    parts = ["<!doctype html><meta charset=utf-8><title>Search</title><style>figure{display:inline-block}</style>"]
    for query, row_scores, hits in zip(queries, scores, rows):
        parts.append(f"<h2>{html.escape(query)}</h2>")
        for score, hit in zip(row_scores, hits):
            small, name = io.BytesIO(), html.escape(photos[hit].stem, quote=True)
            image = Image.open(photos[hit]).convert("RGB")
            image.thumbnail((160, 160))
            image.save(small, "png")
            source = base64.b64encode(small.getvalue()).decode()
            parts.append(f'<figure><img src="data:image/png;base64,{source}" alt="{name}">'
                         f"<figcaption>{score:.3f}</figcaption></figure>")
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", type=Path)
    parser.add_argument("captions", nargs="?", type=Path)
    parser.add_argument("queries", nargs="*")
    parser.add_argument("--out", type=Path, default=Path("hits.html"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as drawn:
        folder, queries = arguments.photos or Path(drawn), arguments.queries
        if arguments.photos is None:
            lines, queries = draw(folder), ["a red disc at night", "a yellow triangle in the grass", "a pink square under water"]
        else:
            lines = [line.split("\t", 1) for line in arguments.captions.read_text().splitlines()]
        photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        where = {path.name: i for i, path in enumerate(photos)}

        images, texts = encode_images(photos), encode_texts([caption for _, caption in lines])
        pairs = [(where[name], i) for i, (name, _) in enumerate(lines) if name]
        (px, py), (vx, vy) = zip(*[pair for k, pair in enumerate(pairs) if k % 5]), zip(*pairs[::5])
        free_x = sorted(set(range(len(photos))) - {x for x, _ in pairs})
        free_y = [i for i, (name, _) in enumerate(lines) if not name]
        unpaired = (images[free_x], texts[free_y]) if free_x and free_y else ()  # without: the linear teacher
        aligner = sotalign.Aligner(steps=200, progress=False)
        aligner.fit(images[list(px)], texts[list(py)], *unpaired, val=(images[list(vx)], texts[list(vy)]))

        gallery = aligner.transform(images, "image")
        scores, rows = sotalign.search(aligner.transform(encode_texts(queries), "text"), gallery, k=min(8, len(photos)))
        arguments.out.write_text(page(queries, photos, scores, rows))
    print(f"{len(pairs)} pairs, {len(photos)} photos, {len(queries)} queries: {arguments.out}")


if __name__ == "__main__":
    main()
