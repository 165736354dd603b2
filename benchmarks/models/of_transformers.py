"""Architectures of transformers, from a config in place.

As deep and wide as a CPU has done in a second. The weights are random, the same each time.
"""

from __future__ import annotations

from typing import Any

from models.architecture import Architecture

IMAGE = {"pixel_values": {"shape": [2, 3, 64, 64], "dtype": "float32"}}


def tokens(size: int, *, mask: bool = True, names: tuple[str, ...] = ("input_ids",)) -> dict[str, Any]:
    """Token ids below `size`, and a mask that hides nothing."""
    ids = {"shape": [2, 16], "dtype": "int64", "distribution": "integers", "low": 0, "high": size}
    ones = {"shape": [2, 16], "dtype": "int64", "distribution": "ones"}
    return {**dict.fromkeys(names, ids), **({"attention_mask": ones} if mask else {})}


def _hugging(
    name: str, kind: str, config: dict[str, Any], tensors: dict[str, Any], **more: Any
) -> Architecture:
    model = {"loader": "transformers", "config": config, "args": {"attn_implementation": "eager"}, **more}
    return Architecture(name, kind, model, tensors)


_TEXT = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256}
_VOCABULARY = 1000

TRANSFORMERS = (
    _hugging(
        "bert",
        "text encoder",
        {
            "model_type": "bert",
            "architecture": "BertForSequenceClassification",
            "vocab_size": _VOCABULARY,
            **_TEXT,
        },
        tokens(_VOCABULARY),
    ),
    _hugging(
        "distilbert",
        "text encoder",
        {
            "model_type": "distilbert",
            "architecture": "DistilBertForTokenClassification",
            "vocab_size": _VOCABULARY,
            "dim": 128,
            "n_layers": 4,
            "n_heads": 4,
            "hidden_dim": 256,
        },
        tokens(_VOCABULARY),
    ),
    _hugging(
        "roberta",
        "text encoder",
        {"model_type": "roberta", "architecture": "RobertaForMaskedLM", "vocab_size": _VOCABULARY, **_TEXT},
        tokens(_VOCABULARY),
    ),
    _hugging(
        "gpt2",
        "text decoder",
        {
            "model_type": "gpt2",
            "architecture": "GPT2LMHeadModel",
            "vocab_size": _VOCABULARY,
            "n_embd": 128,
            "n_layer": 4,
            "n_head": 4,
        },
        tokens(_VOCABULARY),
    ),
    _hugging(
        "llama",
        "text decoder",
        {
            "model_type": "llama",
            "architecture": "LlamaForCausalLM",
            "vocab_size": _VOCABULARY,
            "num_key_value_heads": 2,
            **_TEXT,
        },
        tokens(_VOCABULARY),
    ),
    _hugging(
        "qwen2",
        "text decoder",
        {
            "model_type": "qwen2",
            "architecture": "Qwen2ForCausalLM",
            "vocab_size": _VOCABULARY,
            "num_key_value_heads": 2,
            **_TEXT,
        },
        tokens(_VOCABULARY),
    ),
    _hugging(
        "t5-encoder",
        "text encoder",
        {
            "model_type": "t5",
            "architecture": "T5EncoderModel",
            "vocab_size": _VOCABULARY,
            "d_model": 128,
            "d_kv": 32,
            "d_ff": 256,
            "num_layers": 4,
            "num_heads": 4,
        },
        tokens(_VOCABULARY),
    ),
    _hugging(
        "mamba",
        "state space",
        {
            "model_type": "mamba",
            "architecture": "MambaForCausalLM",
            "vocab_size": _VOCABULARY,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "state_size": 8,
        },
        tokens(_VOCABULARY, mask=False),
    ),
    _hugging(
        "vit",
        "image classifier",
        {
            "model_type": "vit",
            "architecture": "ViTForImageClassification",
            "image_size": 64,
            "patch_size": 8,
            **_TEXT,
        },
        IMAGE,
    ),
    _hugging(
        "clip-vision",
        "image encoder",
        {
            "model_type": "clip_vision_model",
            "architecture": "CLIPVisionModel",
            "image_size": 64,
            "patch_size": 8,
            **_TEXT,
        },
        IMAGE,
    ),
    _hugging(
        "swin",
        "image classifier",
        {
            "model_type": "swin",
            "architecture": "SwinForImageClassification",
            "image_size": 64,
            "patch_size": 4,
            "embed_dim": 32,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        IMAGE,
    ),
    _hugging(
        "convnext",
        "image classifier",
        {
            "model_type": "convnext",
            "architecture": "ConvNextForImageClassification",
            "hidden_sizes": [32, 64, 96, 128],
            "depths": [1, 1, 2, 1],
        },
        IMAGE,
    ),
    _hugging(
        "resnet",
        "image classifier",
        {
            "model_type": "resnet",
            "architecture": "ResNetForImageClassification",
            "embedding_size": 32,
            "hidden_sizes": [64, 96, 128],
            "depths": [2, 2, 2],
            "layer_type": "basic",
        },
        IMAGE,
    ),
    _hugging(
        "mobilenet-v2",
        "image classifier",
        {
            "model_type": "mobilenet_v2",
            "architecture": "MobileNetV2ForImageClassification",
            "image_size": 64,
            "initializer_range": 0.2,  # with less, nothing of the image is left after its 52 convolutions
        },
        IMAGE,
    ),
    _hugging(
        "segformer",
        "segmentation",
        {
            "model_type": "segformer",
            "architecture": "SegformerForSemanticSegmentation",
            "hidden_sizes": [16, 32, 64, 96],
            "depths": [1, 1, 1, 1],
            "decoder_hidden_size": 64,
            "num_attention_heads": [1, 2, 4, 8],
        },
        IMAGE,
    ),
    _hugging(
        "yolos",
        "detection",
        {
            "model_type": "yolos",
            "architecture": "YolosForObjectDetection",
            "image_size": [64, 64],
            "patch_size": 8,
            "num_detection_tokens": 10,
            **_TEXT,
        },
        IMAGE,
    ),
    _hugging(
        "whisper-encoder",
        "speech encoder",
        {
            "model_type": "whisper",
            "architecture": "WhisperModel",
            "vocab_size": _VOCABULARY,
            "d_model": 64,
            "encoder_layers": 2,
            "decoder_layers": 1,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128,
            "max_source_positions": 100,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
        },
        {"input_features": {"shape": [1, 80, 200], "dtype": "float32"}},
        target="encoder",
    ),
    _hugging(
        "wav2vec2",
        "speech encoder",
        {
            "model_type": "wav2vec2",
            "architecture": "Wav2Vec2ForCTC",
            "conv_dim": [32, 32, 32],
            "conv_stride": [5, 4, 2],
            "conv_kernel": [10, 8, 4],
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            **_TEXT,
        },
        {"input_values": {"shape": [1, 1600], "dtype": "float32"}},
    ),
)
