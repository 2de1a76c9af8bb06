#!/usr/bin/env python3
"""A faiss index of aligned embeddings, with hubness corrections as one more column.

    python faiss_index.py IMAGES.npy TEXTS.npy      # row i of both is a pair; such as data/words

A correction is subtracted from the cosines of its gallery row. An index for inner products does so by itself: gallery rows
get minus their correction as a further column, queries a 1. Needs faiss-cpu.
"""
import sys

import faiss
import numpy as np

import sotalign

images, texts = (np.load(path).astype(np.float32) for path in sys.argv[1:3])
order = np.random.default_rng(0).permutation(len(images))
pairs, valid, test, free_images, free_texts = np.split(order, [300, 500, 900, 900 + (len(order) - 900) // 2])

# The unpaired rows of the two sides belong to different items.
aligner = sotalign.Aligner(seed=0, teacher="cca", steps=100, progress=False)
aligner.fit(images[pairs], texts[pairs], images[free_images], texts[free_texts], val=(images[valid], texts[valid]))
queries, gallery = aligner.transform(texts[test], "text"), aligner.transform(images[test], "image")
corrections = aligner.model.corrections("image", gallery)


def with_column(rows, column):
    return np.ascontiguousarray(np.column_stack([rows, np.broadcast_to(column, len(rows))]), np.float32)


index = faiss.IndexHNSWFlat(gallery.shape[1] + 1, 32, faiss.METRIC_INNER_PRODUCT)  # or IndexFlatIP, which is exact
index.hnsw.efSearch = 100
index.add(with_column(gallery, -corrections))
faiss.write_index(index, "gallery.faiss")
_, found = faiss.read_index("gallery.faiss").search(with_column(queries, 1), 10)

_, exact = sotalign.search(queries, gallery, 10, corrections=corrections)
_, plain = sotalign.search(queries, gallery, 10)
answers = np.arange(len(test))[:, None]
print(f"R@1 {np.mean(plain[:, :1] == answers):.3f}, with corrections {np.mean(exact[:, :1] == answers):.3f}, "
      f"in faiss {np.mean(found[:, :1] == answers):.3f}")
print(f"faiss finds {np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact)]):.3f} of the exact ten neighbours")
