#!/usr/bin/env python3
"""A web service that answers a query vector with the nearest rows of a gallery.

    sotalign embed --model run/model.safetensors --side image --input images.npy --output gallery.npy
    SOTALIGN_MODEL=run/model.safetensors SOTALIGN_GALLERY=gallery.npy uvicorn service:app
    curl localhost:8000/search -H 'Content-Type: application/json' -d '{"vectors": [[0.1, ...]], "k": 5}'

The caller encodes its texts; this service maps their raw embeddings into the shared space. Needs fastapi and uvicorn.
"""
import os
from typing import Literal

import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import sotalign

app = FastAPI(title="sotalign")
model = sotalign.Model.load(os.environ["SOTALIGN_MODEL"])
gallery = np.load(os.environ["SOTALIGN_GALLERY"]).astype(np.float32)  # rows of the shared space


class Query(BaseModel):
    vectors: list[list[float]]  # raw embeddings
    side: Literal["image", "text"] = "text"
    k: int = 10


class Hits(BaseModel):
    rows: list[list[int]]
    scores: list[list[float]]


@app.post("/search")
def search(query: Query) -> Hits:  # not async: FastAPI runs it in a thread, and the GIL is free while it computes
    try:
        rows = model.embed(query.side, np.array(query.vectors, np.float32))
        found = sotalign.search(rows, gallery, query.k)
    except ValueError as error:  # a wrong shape, k out of range, numbers that are not finite
        raise HTTPException(422, str(error)) from None
    return Hits(rows=found.rows.tolist(), scores=found.scores.tolist())


@app.get("/")
def about() -> dict[str, int]:
    return {"gallery": len(gallery), "dim": model.dim(), "image": model.input_dim("image"), "text": model.input_dim("text")}
