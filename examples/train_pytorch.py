#!/usr/bin/env python3
"""KLOT in a training loop of PyTorch, next to a contrastive loss of the few pairs.

    python train_pytorch.py IMAGES.npy TEXTS.npy      # row i of both is a pair; such as data/words

The unpaired rows of the two sides belong to different items. The teacher is linear, and is fitted to the pairs.
"""
import sys

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

import sotalign
from sotalign.torch import klot_embeddings

torch.manual_seed(0)
images, texts = (torch.from_numpy(np.load(path).astype(np.float32)) for path in sys.argv[1:3])
order = torch.randperm(len(images))
pairs, test, free = order[:300], order[300:1300], order[1300:]
free_images, free_texts = free.chunk(2)

teacher = sotalign.Aligner(progress=False).fit(images[pairs], texts[pairs])  # without unpaired rows: linear
teacher_images, teacher_texts = teacher.transform(images, "image"), teacher.transform(texts, "text")
images, texts = normalize(images - images[free_images].mean(0)), normalize(texts - texts[free_texts].mean(0))



def train(weight):
    """MeanR@1 on the test pairs after training with this weight of KLOT."""
    heads = torch.nn.ModuleList([torch.nn.Linear(images.shape[1], 256), torch.nn.Linear(texts.shape[1], 256)])
    log_scale = torch.nn.Parameter(torch.tensor(3.0))
    optimizer = torch.optim.AdamW([*heads.parameters(), log_scale], lr=1e-3)

    def embed(image_rows, text_rows):
        return normalize(heads[0](images[image_rows])), normalize(heads[1](texts[text_rows]))

    for step in range(60):
        x, y = embed(pairs, pairs)
        logits, target = log_scale.exp() * x @ y.T, torch.arange(len(pairs))
        contrastive = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
        i, j = free_images[torch.randperm(len(free_images))[:400]], free_texts[torch.randperm(len(free_texts))[:400]]
        klot = klot_embeddings(*embed(i, j), teacher_images[i], teacher_texts[j])
        optimizer.zero_grad()
        (contrastive + weight * klot).backward()
        optimizer.step()
        if weight > 0 and (step % 10 == 0 or step == 59):
            print(f"step {step:2}: contrastive {contrastive.item():.4f}, KLOT {klot.item():.4f}")
    with torch.no_grad():
        return sotalign.metrics.retrieval(*embed(test, test)).mean_r1


linear = sotalign.metrics.retrieval(teacher_images[test], teacher_texts[test]).mean_r1
print(f"MeanR@1 of {len(test)} test pairs: with KLOT {train(1):.3f}, without {train(0):.3f}, linear teacher {linear:.3f}")
