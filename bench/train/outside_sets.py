#!/usr/bin/env python3
"""Builds paired embeddings that no default of the program was chosen on, from packages of Debian 12 and PyPI.

  python3 -m venv .venv && .venv/bin/pip install numpy scipy
  OPENBLAS_NUM_THREADS=1 .venv/bin/python bench/train/outside_sets.py --out OUTSIDE

Fetches what it needs with `pip download`, `apt-get download` and `apt-cache dumpavail`, and writes a folder for each
set: images.npy and texts.npy (float16, row i is a true pair; "images" names the first modality, whatever it is),
captions.txt (a line for each row) and README.md (encoders, provenance, licences). Fixed seeds: the same packages give
the same rows. The data are not part of this project.

  japanese   Japanese words (chiVe vectors in ja_ginza) x their English glosses (EDICT), embedded by word vectors
             that are computed here from an English dictionary (GCIDE). Two languages; no text is shared.
  debian     Debian packages: the graph of their dependencies x their one-line descriptions, each embedded by a
             factorization that is computed here.
"""
import argparse
import collections
import gzip
import hashlib
import json
import pathlib
import re
import subprocess
import zipfile

import numpy as np
import scipy.sparse as sparse

DIMENSION = 300
GINZA = "ja_ginza==5.3.0"
DEBS = {"edict": "2021.02.03-1", "dict-gcide": "0.48.5+nmu2"}


# Fetching

def fetched_deb(name, cache):
    """The folder with the files of a Debian package."""
    folder = cache / name
    if not folder.exists():
        subprocess.run(["apt-get", "download", f"{name}={DEBS[name]}"], cwd=cache, check=True)
        subprocess.run(["dpkg", "-x", str(next(cache.glob(f"{name}_*.deb"))), str(folder)], check=True)
    return folder


def fetched_wheel(requirement, cache):
    name = requirement.split("==")[0]
    if not list(cache.glob(f"{name}-*.whl")):
        subprocess.run(["pip", "download", "--quiet", "--no-deps", "--dest", str(cache), requirement], check=True)
    return zipfile.ZipFile(next(cache.glob(f"{name}-*.whl")))


# Vectors from counts

def truncated_svd(matrix, rank, seed=0, iterations=6, oversampling=50):
    """Left singular vectors and values of a sparse matrix, by subspace iteration (Halko et al. 2011)."""
    random = np.random.default_rng(seed)
    basis = matrix @ random.standard_normal((matrix.shape[1], rank + oversampling)).astype(np.float32)
    for _ in range(iterations):
        basis, _ = np.linalg.qr(basis)
        basis = matrix @ (matrix.T @ basis)
    basis, _ = np.linalg.qr(basis)
    left, values, _ = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)
    return (basis @ left)[:, :rank], values[:rank]


def positive_pmi(counts, smoothing=0.75):
    """max(0, log p(i, j) / (p(i) p(j)^smoothing)), the latter normalized (Levy et al. 2015)."""
    counts = counts.tocoo()
    rows = np.asarray(counts.sum(axis=1)).ravel()
    columns = np.asarray(counts.sum(axis=0)).ravel() ** smoothing
    columns /= columns.sum()
    values = np.log(counts.data / (rows[counts.row] * columns[counts.col]))
    kept = values > 0
    return sparse.csr_matrix((values[kept].astype(np.float32), (counts.row[kept], counts.col[kept])), counts.shape)


def vectors_of(counts):
    """Rows of the positive PMI, U S^1/2."""
    left, values = truncated_svd(positive_pmi(counts), DIMENSION)
    return left * np.sqrt(values)


def mean_of_words(texts, vocabulary, vectors, frequency, a=1e-3):
    """Smooth inverse frequency (Arora et al. 2017): mean with weights a / (a + p(word)), less its first principal
    direction. Rows without a known word are zero."""
    result = np.zeros((len(texts), vectors.shape[1]), np.float32)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    for i, text in enumerate(texts):
        ids = [vocabulary[word] for word in words_of(text) if word in vocabulary]
        if ids:
            weights = a / (a + frequency[ids])
            result[i] = weights @ vectors[ids] / weights.sum()
    known = result[np.abs(result).sum(axis=1) > 0]
    direction = np.linalg.svd(known, full_matrices=False)[2][0]
    return result - np.outer(result @ direction, direction)


def words_of(text):
    return re.findall(r"[a-z]+", text.lower())


# English word vectors, from a dictionary

def dictionary_entries(cache):
    """Headword and text of every entry of GCIDE."""
    folder = fetched_deb("dict-gcide", cache)
    text = gzip.open(folder / "usr/share/dictd/gcide.dict.dz").read().decode("utf-8", "replace")
    text = re.sub(r"\[(1913 Webster|WordNet 1\.5|PJC|[^\]]*Webster[^\]]*)\]|--[A-Z][\w.]*( [A-Z][\w.]*)*", " ", text)
    entry = re.compile(r"^(\S[^\\\n]{0,60}?) \\[^\\\n]*\\", re.MULTILINE)
    starts = list(entry.finditer(text))
    for found, following in zip(starts, starts[1:] + [None]):
        yield found.group(1), text[found.end():following.start() if following else len(text)]


def english_vectors(cache, window=5, least=5):
    """Vocabulary, vectors and frequency of English words: PPMI of words within `window` of each other, and of a
    headword with the words of its entry."""
    entries = [(words_of(head), words_of(body)) for head, body in dictionary_entries(cache)]
    counted = collections.Counter(word for head, body in entries for word in head + body)
    kept = sorted((word for word, count in counted.items() if count >= least), key=lambda w: (-counted[w], w))
    vocabulary = {word: i for i, word in enumerate(kept)}
    gap = -1
    tokens, heads, contexts = [], [], []
    for head, body in entries:
        ids = [vocabulary[word] for word in body if word in vocabulary]
        tokens += ids + [gap] * window
        for word in head:
            if word in vocabulary:
                heads += [vocabulary[word]] * len(ids)
                contexts += ids
    tokens = np.array(tokens)
    counts = sparse.csr_matrix((len(kept), len(kept)), dtype=np.float64)
    for offset in range(1, window + 1):
        a, b = tokens[:-offset], tokens[offset:]
        inside = (a != gap) & (b != gap)
        counts = counts + sparse.csr_matrix((np.full(inside.sum(), 1 / offset), (a[inside], b[inside])), counts.shape)
    counts = counts + sparse.csr_matrix((np.ones(len(heads)), (heads, contexts)), counts.shape)
    frequency = np.array([counted[word] for word in kept], np.float64)
    return vocabulary, vectors_of(counts + counts.T), frequency / frequency.sum()


# Japanese words

def murmur_hash_64a(data, seed=1):
    """spaCy's hash of a string."""
    m, mask = 0xc6a4a7935bd1e995, (1 << 64) - 1
    h = seed ^ (len(data) * m & mask)
    whole = len(data) // 8 * 8
    for i in range(0, whole, 8):
        k = int.from_bytes(data[i:i + 8], "little") * m & mask
        k = (k ^ k >> 47) * m & mask
        h = (h ^ k) * m & mask
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 47) * m & mask
    return h ^ h >> 47


def keys_in_order(packed):
    """Keys of a msgpack map from 64-bit numbers to small numbers, in the order of the file."""
    keys, at = [], {0xde: 3, 0xdf: 5}[packed[0]]

    def number():
        nonlocal at
        kind = packed[at]
        at += 1
        size = {0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8}.get(kind, 0)
        value = int.from_bytes(packed[at:at + size], "big") if size else kind
        at += size
        return value
    while at < len(packed):
        keys.append((number(), number()))
    return keys


def japanese_vectors(cache):
    """Hash of a word -> its vector. Other words share the vectors of these; they come later in the file."""
    wheel = fetched_wheel(GINZA, cache)
    folder = "ja_ginza/ja_ginza-5.3.0/vocab/"
    with wheel.open(folder + "vectors") as file:
        vectors = np.load(file)
    owner = {}
    for key, row in keys_in_order(wheel.read(folder + "key2row")):
        owner.setdefault(row, key)
    return {key: vectors[row] for row, key in owner.items()}


def glosses(cache):
    """Headword -> English of its first entry, a common one (P) before others."""
    text = (fetched_deb("edict", cache) / "usr/share/edict/edict").read_bytes().decode("euc_jp", "replace")
    found = {}
    for line in text.splitlines()[1:]:
        head, _, rest = line.partition("/")
        parts = [re.sub(r"\([^)]*\)|\{[^}]*\}", " ", part).strip() for part in rest.split("/")]
        english = "; ".join(" ".join(part.split()) for part in parts if part)
        word, common = head.split("[")[0].strip(), "(P)" in rest
        if english and (word not in found or (common and not found[word][0])):
            found[word] = (common, english)
    return {word: english for word, (_, english) in found.items()}


def japanese(cache):
    vectors = japanese_vectors(cache)
    rows, seen = [], set()
    for word, english in glosses(cache).items():
        vector = vectors.get(murmur_hash_64a(word.encode()))
        if vector is None or not vector.any() or english in seen:
            continue  # two words of the same gloss could not be told apart
        seen.add(english)
        rows.append((word, english, vector))
    texts = mean_of_words([english for _, english, _ in rows], *english_vectors(cache))
    return [f"{word} - {english}" for word, english, _ in rows], np.array([v for *_, v in rows]), texts


# Debian packages

def described_packages():
    """Name, source, names it depends on and one-line description of every package that apt knows here."""
    text = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
    for block in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*(?:\n .*)*)", block, re.MULTILINE))
        if "Description" not in fields:
            continue
        depends = ",".join(fields.get(f, "") for f in ("Pre-Depends", "Depends", "Recommends", "Suggests"))
        names = [re.sub(r"[(:].*", "", name).strip() for name in re.split(r"[,|]", depends)]
        yield (fields["Package"], fields.get("Source", fields["Package"]).split(" ")[0],
               sorted({name for name in names if name}), fields["Description"].split("\n")[0])


def debian(cache):
    packages = sorted(set((n, s, tuple(d), t) for n, s, d, t in described_packages()))
    index = {name: i for i, name in enumerate(sorted({n for _, _, d, _ in packages for n in d}))}
    pairs = [(i, index[name]) for i, (_, _, d, _) in enumerate(packages) for name in d]
    graph = sparse.csr_matrix((np.ones(len(pairs)), tuple(np.array(pairs).T)), (len(packages), len(index)))
    used = np.asarray(graph.sum(axis=0)).ravel() >= 3
    images = vectors_of(graph[:, used])

    texts = [words_of(text) for *_, text in packages]
    counted = collections.Counter(word for text in texts for word in set(text))
    kept = {word: i for i, word in enumerate(sorted(w for w, n in counted.items() if n >= 3))}
    cells = [(i, kept[word]) for i, text in enumerate(texts) for word in text if word in kept]
    counts = sparse.csr_matrix((np.ones(len(cells)), tuple(np.array(cells).T)), (len(packages), len(kept)))
    inverse = np.log(len(packages) / np.array([counted[word] for word in kept]))
    weighted = counts.multiply(inverse).tocsr().astype(np.float32)
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    weighted = sparse.diags(1 / np.maximum(norms, 1e-9)) @ weighted
    left, values = truncated_svd(weighted.astype(np.float32), DIMENSION)
    embedded = left * values

    rows, sources, seen = [], set(), set()
    for i, (_, source, depends, text) in enumerate(packages):
        if len(depends) < 3 or len(texts[i]) < 3 or source in sources or text in seen:
            continue  # one package of each source
        sources.add(source)
        seen.add(text)
        rows.append(i)
    captions = [f"{packages[i][0]} - {packages[i][3]}" for i in rows]
    return captions, images[rows], embedded[rows]


SETS = {"japanese": japanese, "debian": debian}
ABOUT = {
    "japanese": f"""A Japanese word and the English of its first entry in EDICT, where no other word has the same.

images.npy: the word's vector in the wheel {GINZA} (MIT licence; the vectors are 20,000 of chiVe's, Apache-2.0).
texts.npy: mean of the vectors of the gloss's words by smooth inverse frequency (Arora et al., ICLR 2017), less its
first principal direction. Word vectors: U S^1/2 of the positive PMI (Levy et al., TACL 2015) of words within five words
of each other in GCIDE, and of its headwords with the words of their entries.
EDICT: Debian package edict {DEBS['edict']}, property of the Electronic Dictionary Research and Development Group, used
under the Group's licence (CC BY-SA). GCIDE: Debian package dict-gcide {DEBS['dict-gcide']}, GPL 2 or later.
""",
    "debian": """A package of Debian and its one-line description, one package for each source.

images.npy: U S^1/2 of the positive PMI of packages and the names they depend on, recommend or suggest.
texts.npy: U S of log(N / n) weighted, normalized word counts of the one-line descriptions of all packages.
Both from `apt-cache dumpavail`, that is, from the index files of this machine's sources of packages: another point
release has slightly other rows. The descriptions have the licences of the packages.
""",
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", required=True, type=pathlib.Path)
    arguments.add_argument("--cache", type=pathlib.Path, help="downloaded packages; default: OUT/packages")
    arguments.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    arguments = arguments.parse_args()
    cache = (arguments.cache or arguments.out / "packages").resolve()
    cache.mkdir(parents=True, exist_ok=True)
    for name in arguments.sets:
        captions, images, texts = SETS[name](cache)
        known = np.abs(texts).sum(axis=1) * np.abs(images).sum(axis=1) > 0
        order = np.random.default_rng(0).permutation(np.flatnonzero(known))
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "images.npy", images[order].astype(np.float16))
        np.save(folder / "texts.npy", texts[order].astype(np.float16))
        (folder / "captions.txt").write_text("".join(captions[i] + "\n" for i in order))
        sums = "".join(f"{hashlib.sha256((folder / file).read_bytes()).hexdigest()}  {file}\n"
                       for file in ("images.npy", "texts.npy", "captions.txt"))
        (folder / "README.md").write_text(f"# {name}: {len(order)} pairs, {images.shape[1]} x {texts.shape[1]}\n\n"
                                          f"{ABOUT[name]}\n```\n{sums}```\n")
        print(f"{name}: {len(order)} rows, {images.shape[1]} x {texts.shape[1]}", flush=True)


main()
