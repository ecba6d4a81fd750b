"""What phase 3 trains, as one module from stored encoder outputs to DEIMv2's loss, and its optimiser."""

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Deimv2ForObjectDetection

from zerostart.cache.views import View
from zerostart.decoder.encoder_outputs import without_encoder
from zerostart.detector.model import look
from zerostart.detector.pieces import freeze_batch_norm
from zerostart.method.fusion import Fusion
from zerostart.params import Params

NOT_TRAINED = ("model.decoder_input_proj.", "model.decoder.up", "model.decoder.reg_scale")
"""What stands between encoder and decoder, and two constants that the library keeps as parameters."""


class TunedDecoder(nn.Module):
    """What phase 3 trains, as one module from stored encoder outputs to the loss."""

    def __init__(self, detector: Deimv2ForObjectDetection, fusion: Fusion):
        super().__init__()
        self.detector, self.fusion = without_encoder(detector), fusion
        self.detector.config.auxiliary_loss = True  # without, the library takes denoising queries for ordinary ones
        for name, parameter in self.detector.named_parameters():
            parameter.requires_grad_(not name.startswith(NOT_TRAINED))

    def train(self, mode: bool = True) -> "TunedDecoder":
        """Training mode for all that learns; BatchNorm's statistics stay as they are."""
        super().train(mode)
        freeze_batch_norm(self.detector)
        return self

    def forward(self, stored: Tensor, objects: list[dict[str, Tensor]]) -> Tensor:
        """DEIMv2's loss of encoder outputs (B×L×C): MAL, boxes and, where configured, local, on all layers."""
        with torch.autocast(stored.device.type, torch.bfloat16, enabled=stored.is_cuda):
            outputs = self.detector.model(None, inputs_embeds=stored, labels=objects)
        logits, boxes = outputs.intermediate_logits.float(), outputs.intermediate_reference_points.float()
        refined = self.fusion(outputs.last_hidden_state.float(), logits[:, -1])
        if not torch.isfinite(refined).all():
            return refined.sum() * torch.nan  # the matcher would refuse it in its own words
        loss, _, _ = self.detector.loss_function(
            refined,
            objects,
            stored.device,
            boxes[:, -1],
            self.detector.config,
            torch.cat([logits[:, :-1], refined[:, None]], dim=1),
            boxes,
            enc_topk_logits=outputs.enc_topk_logits.float(),
            enc_topk_bboxes=outputs.enc_topk_bboxes.float(),
            denoising_meta_values=outputs.denoising_meta_values,
            predicted_corners=outputs.intermediate_predicted_corners.float(),
            initial_reference_points=outputs.initial_reference_points.float(),
        )
        return loss

    @torch.inference_mode()
    def view(self, stored: np.ndarray, image_id: np.ndarray, batch_size: int = 64) -> View:
        """What the detector says of images by their encoder outputs (N×L×C), in eval mode."""
        device = next(self.parameters()).device
        parts: dict[str, list[np.ndarray]] = {"hidden": [], "logits": [], "boxes": []}
        for start in range(0, len(stored), batch_size):
            maps = torch.from_numpy(np.array(stored[start : start + batch_size])).to(device)
            for name, tensor in look(self.detector, pixel_values=None, inputs_embeds=maps).items():
                parts[name].append(tensor.cpu().numpy())
        return View(image_id=image_id, **{name: np.concatenate(arrays) for name, arrays in parts.items()})


def make_optimizer(decoder: TunedDecoder, params: Params) -> torch.optim.AdamW:
    """AdamW; decoder, fusion and the class head's difference have own rates; only matrices are decayed."""
    head = decoder.fusion.head_parameters()
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in decoder.fusion.named_parameters():
        decay = params.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((params.lr.head if name in head else params.lr.fusion, decay), []).append(parameter)
    for parameter in decoder.detector.parameters():
        if parameter.requires_grad:
            decay = params.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((params.lr.decoder, decay), []).append(parameter)
    return torch.optim.AdamW(
        {"params": tensors, "lr": rate, "weight_decay": decay} for (rate, decay), tensors in groups.items()
    )
