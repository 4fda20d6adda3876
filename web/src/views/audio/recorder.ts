// Recording from the microphone, without the browser's echo cancellation, noise suppression and automatic gain, which
// would change what the model hears. Stopping releases the microphone.
import { signal } from "@preact/signals";

export const recording = signal<{ since: number; level: number } | null>(null);

/** Uncompressed where the browser can, else its best. */
const TYPES = ["audio/webm;codecs=pcm", "audio/webm;codecs=opus", "audio/mp4"];

let stopNow: (() => void) | null = null;

/** Record until `stopRecording` or the limit; the recording as the browser encodes it. */
export async function record(limitSeconds: number): Promise<Blob> {
  if (!navigator.mediaDevices?.getUserMedia)
    throw new Error("This browser offers no microphone here; it does on localhost and over HTTPS.");
  const raw = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: raw }).catch((error: unknown) => {
    throw new Error(
      error instanceof DOMException && error.name === "NotAllowedError"
        ? "The microphone was not allowed; the browser's address bar lets you change that."
        : "No microphone was found.",
    );
  });
  const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one));
  const recorder = new MediaRecorder(stream, { ...(type ? { mimeType: type } : {}), audioBitsPerSecond: 256_000 });
  const parts: Blob[] = [];
  const meter = levelMeter(stream);
  return new Promise((resolve, reject) => {
    const release = (): void => {
      clearTimeout(timer);
      meter();
      stream.getTracks().forEach((track) => track.stop());
      recording.value = null;
      stopNow = null;
    };
    const timer = setTimeout(() => recorder.stop(), limitSeconds * 1000);
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onerror = () => {
      release();
      reject(new Error("The recording failed."));
    };
    recorder.onstop = () => {
      release();
      resolve(new Blob(parts, { type: recorder.mimeType }));
    };
    stopNow = () => recorder.stop();
    recorder.start(250);
  });
}

export const stopRecording = (): void => stopNow?.();

/** Keeps `recording` up to date ten times a second; returns how to stop. */
function levelMeter(stream: MediaStream): () => void {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const since = Date.now();
  const tick = (): void => {
    analyser.getFloatTimeDomainData(samples);
    const level = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
    recording.value = { since, level: Math.min(1, Math.max(0, 1 + Math.log10(level + 1e-5) / 3)) };
  };
  tick();
  const timer = setInterval(tick, 100);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}
