/** Pictures from a camera: the rear one first, another by choice; paused, the last moment can be looked at and taken. */

import { byId, make, redraw } from "./dom.js";
import { takeIn } from "./intake.js";
import { on } from "./state.js";
import { word } from "./words.js";

const panel = () => byId("camera");
const video = make("video", { playsinline: true, muted: true, autoplay: true });
let stream = null;
let devices = [];
let said = "";

export function startCamera() {
  byId("camera-open").addEventListener("click", () => (panel().hidden ? open() : close()));
  on("language", () => panel().hidden || draw());
}

async function open(deviceId) {
  stop();
  said = "";
  panel().hidden = false;
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) return fail(word("camera_insecure"));
  const wanted = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "environment" } };
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, width: { ideal: 1920 }, height: { ideal: 1080 } } });
  } catch (reason) {
    const sentences = { NotAllowedError: "camera_denied", NotFoundError: "camera_none", NotReadableError: "camera_taken" };
    return fail(word(sentences[reason.name] ?? "camera_failed"));
  }
  video.srcObject = stream;
  await video.play();
  devices = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  draw();
}

function fail(sentence) {
  said = sentence;
  draw();
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  video.srcObject = null;
}

function close() {
  stop();
  panel().hidden = true;
  byId("camera-open").focus();
}

function pauseOrResume() {
  if (video.paused) video.play();
  else video.pause();
  draw();
}

async function capture() {
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
  const moment = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  takeIn([new File([blob], `camera-${moment}.jpg`, { type: "image/jpeg" })]);
}

function draw() {
  const button = (key, label, onclick, kind = "") =>
    make("button", { type: "button", onclick, class: kind, "data-key": key }, word(label));
  const current = stream?.getVideoTracks()[0].getSettings().deviceId;
  const choice = make(
    "select",
    { "aria-label": word("camera_device"), "data-key": "device", onchange: (event) => open(event.target.value) },
    devices.map((device, index) =>
      make(
        "option",
        { value: device.deviceId, selected: device.deviceId === current },
        device.label || word("camera_number", { number: index + 1 }),
      ),
    ),
  );
  redraw(
    panel(),
    make("p", { class: "said error", role: "status" }, said),
    stream && video,
    stream && devices.length > 1 && choice,
    make(
      "div",
      { class: "row" },
      stream && button("take", "camera_take", capture, "primary"),
      stream && button("pause", video.paused ? "camera_resume" : "camera_pause", pauseOrResume),
      button("close", "camera_close", close),
    ),
  );
}
