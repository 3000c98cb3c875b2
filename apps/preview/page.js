// The page: it keeps the connection, and always shows if its result is valid.

import { Drawing, decode, parse } from "./drawing.js";
import { Legend, Sparkline, duration, ms, showFindings, showRun, showSource, showTabs } from "./panels.js";

const $ = (id) => document.getElementById(id);
const QUIET_MS = 1200; // the server sends four times a second; a longer silence is a lost connection
const GIVE_UP_MS = 5000; // a connection that is silent for so long is opened again
const BEHIND_MS = 2000;
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5000;
const HISTORY = 60;

const drawing = new Drawing($("canvas"));
const legend = new Legend(drawing);
const rate = new Sparkline("rate", ["fps"]);
const latency = new Sparkline("latency", ["p50", "p99"]);

let socket = null;
let heardAt = 0; // performance.now() of the newest message
let pauseMs = FIRST_PAUSE_MS;
let retryTimer = 0;
let lost = "Connecting"; // the reason for a missing connection; empty if connected
let lostWhy = "";
let ended = false;
let sources = [];
let chosen = null;
let image = null; // header of the image on the canvas, with heardAt
let run = null;
let runAt = 0;
let validity = { valid: false, reason: "", meaning: "" };
let meanings = {};
let history = {};
let busy = false;
let waiting = null;
const asked = new Set(); // buttons that wait for an answer

// ---- the connection

function connect() {
  clearTimeout(retryTimer);
  if (document.hidden) return; // the page connects when the tab is visible again
  const address = new URL(`live?source=${chosen ?? ""}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const mine = new WebSocket(address);
  socket = mine;
  mine.binaryType = "arraybuffer";
  heardAt = performance.now();
  mine.onmessage = ({ data }) => { if (socket === mine) hear(data); };
  mine.onclose = () => { if (socket === mine) disconnected(); };
}

function disconnected() {
  const was = socket;
  socket = waiting = null;
  was.close();
  if (!lost) { lost = ended ? "The run has ended" : "Connection lost"; lostWhy = ""; }
  retryTimer = setTimeout(connect, pauseMs * (0.7 + 0.6 * Math.random()));
  pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.6);
  explain();
  judge();
}

// A refused WebSocket gives no reason; a plain request does.
async function explain() {
  try {
    const answer = await fetch("status", { signal: AbortSignal.timeout?.(3000) });
    if (socket && !lost) return;
    if (answer.status === 401) [lost, lostWhy] = ["The token is not known", "Open the link that the run printed when it began."];
    else if (answer.status === 421) [lost, lostWhy] = ["This name is not allowed", await answer.text()];
    else if (answer.ok) {
      const { viewers, most_viewers: most, run: now } = await answer.json();
      // After a restart, the run may lack the source that was watched.
      if (now && !now.sources.some(({ number }) => number === chosen)) chosen = null;
      if (viewers >= most) [lost, lostWhy] = ["All places are taken", `${viewers} others are watching; waiting for a place.`];
    }
  } catch {
    if (!lost || lost === "Connecting") lost = "Connection lost";
    if (!socket) lostWhy = "The server cannot be reached.";
  }
  judge();
}

function hear(data) {
  heardAt = performance.now();
  if (typeof data !== "string") {
    if (busy) { if (waiting) drawn(); waiting = data; } else take(data);
    return;
  }
  const message = JSON.parse(data);
  if (message.type === "bye") { ended = true; lost = "The run has ended"; lostWhy = ""; judge(); return; }
  if (message.type === "hello") {
    [lost, lostWhy, ended, pauseMs] = ["", "", false, FIRST_PAUSE_MS];
    ({ sources, meanings, history } = message);
    if (!sources.includes(chosen)) chosen = sources[0];
    legend.build(message.classes);
  }
  status(message);
}

function drawn() {
  if (socket?.readyState === WebSocket.OPEN) socket.send('{"drawn":true}');
}

async function take(data) {
  busy = true;
  const mine = socket;
  const at = heardAt;
  try {
    const parsed = parse(data);
    const { frame, classes } = await decode(parsed);
    if (parsed.head.source === chosen) {
      image = { ...parsed.head, heardAt: at };
      validity = image;
      drawing.show(frame, classes, image.outlines);
      judge();
    } else frame.close();
  } catch (error) {
    console.error(error);
  }
  busy = false;
  if (socket === mine) drawn();
  if (waiting && socket) { const next = waiting; waiting = null; take(next); }
}

// ---- the run's status

const source = () => run?.sources.find(({ number }) => number === chosen);

function status(message) {
  run = message.run;
  runAt = performance.now();
  for (const [number, point] of Object.entries(message.points)) {
    const points = (history[number] ??= []);
    if (points.length && points[points.length - 1].at === point.at) continue;
    points.push(point);
    while (points.length > HISTORY) points.shift();
  }
  if (run) {
    const mine = source();
    showRun(run);
    showTabs(sources, run.sources, chosen, choose);
    if (mine) {
      validity = { valid: mine.valid, reason: mine.reason, meaning: meanings[mine.reason] ?? mine.reason };
      showSource(mine, run);
    }
  }
  rate.draw(history[chosen] ?? []);
  latency.draw(history[chosen] ?? []);
  showRecording(message.recording);
  judge();
}

function choose(number) {
  if (number === chosen) return;
  chosen = number;
  image = null;
  drawing.clear();
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ watch: number }));
  if (run) status({ run, points: {}, recording: undefined });
  judge();
}

// ---- the verdict

const imageAge = () => (image ? (image.age_ms + performance.now() - image.heardAt) / 1000 : null);

function verdict() {
  const quiet = performance.now() - heardAt;
  const old = image ? `This image is ${duration(imageAge())} old.` : "";
  if (lost) return ["bad", lost, lostWhy || (lost === "Connecting" ? "" : "Trying again."), old];
  if (quiet > QUIET_MS) return ["bad", "Connection lost", "The server is silent.", old];
  if (!run) return ["bad", "The run does not answer", "It may hang, or be very busy.", old];
  const mine = source();
  if (run.state === "stopping") return ["bad", "The run is ending", "", old];
  // The newest status counts, but the image on the canvas must be valid too.
  const doubt = validity.valid && image && !image.valid ? image : validity;
  if (!doubt.valid && doubt.reason) {
    const since = mine?.age_seconds === null || !mine
      ? "There was no valid result so far."
      : `The last valid result is ${duration(mine.age_seconds + (performance.now() - runAt) / 1000)} old.`;
    return ["bad", `No valid result: ${doubt.reason}`, sentence(doubt.meaning), since];
  }
  if (!image || !validity.valid) return ["wait", run.state === "starting" ? "Warming up" : "Waiting for the first frame", "", ""];
  if (imageAge() * 1000 > BEHIND_MS && mine && mine.frame_id !== image.frame_id) {
    return ["bad", "This image is behind", "The connection or this device is too slow.", old];
  }
  return ["live", "", "", ""];
}

const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");

function judge() {
  const [state, title, why, since] = verdict();
  // Shares are shown only for a valid image; buttons are enabled only while the run can receive them.
  legend.update(state === "live" ? image.shares : []);
  showFindings(source()?.findings ?? {}, state === "live");
  const deaf = Boolean(lost) || performance.now() - heardAt > QUIET_MS;
  for (const id of ["snapshot", "record"]) $(id).disabled = deaf || asked.has(id);
  $("screen").dataset.state = $("pill").dataset.state = state;
  drawing.hold(state !== "live");
  for (const [id, text] of [["verdict", title], ["why", why], ["since", since]]) {
    if ($(id).textContent !== text) $(id).textContent = text;
  }
  const word = { live: "Live", wait: "Waiting", bad: lost && !ended ? "Offline" : ended ? "Ended" : "Not valid" }[state];
  if ($("pill-text").textContent !== word) $("pill-text").textContent = word;
  document.title = `${state === "bad" ? "✕ " : ""}${word} – edgeseg`;
  $("age").hidden = !image;
  if (image) {
    const age = imageAge();
    $("age").textContent = age < 1 ? `${ms(age * 1000)} ms old` : `${duration(age)} old`;
  }
}

setInterval(() => {
  if (socket && performance.now() - heardAt > GIVE_UP_MS) disconnected();
  judge();
}, 200);

document.addEventListener("visibilitychange", () => {
  // A hidden page uses no place and receives no data.
  if (!document.hidden) { if (!socket) { pauseMs = FIRST_PAUSE_MS; connect(); } return; }
  clearTimeout(retryTimer);
  const was = socket;
  socket = waiting = null;
  was?.close();
  [lost, lostWhy] = ["Connecting", ""];
});
addEventListener("online", () => { if (!socket) connect(); });

// ---- the controls

$("opacity").oninput = ({ target }) => {
  drawing.opacity = target.value / 100;
  $("opacity-text").textContent = `${target.value}%`;
  drawing.draw();
};
$("borders").onchange = ({ target }) => { drawing.borders = target.checked; drawing.paint(); };
$("fullscreen").hidden = !document.fullscreenEnabled;
$("fullscreen").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $("screen").requestFullscreen());

let toastTimer = 0;
function toast(text, bad = false) {
  $("toast").hidden = false;
  $("toast").textContent = text;
  $("toast").classList.toggle("bad", bad);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 8000);
}

$("snapshot").onclick = async () => {
  asked.add("snapshot");
  judge();
  try {
    const answer = await fetch(`snapshot?source=${chosen ?? ""}`);
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition"))?.[1] ?? "snapshot.zip";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    toast(`Saved ${link.download}: the frame, its mask and result.json.`);
  } catch (error) {
    toast(`No snapshot: ${error.message}`, true);
  }
  asked.delete("snapshot");
  judge();
};

function showRecording(recording) {
  if (recording === undefined) return;
  $("record").hidden = !recording;
  if (!recording) return;
  $("record").setAttribute("aria-pressed", String(recording.active));
  $("record-text").textContent = recording.active ? "Stop recording" : "Record";
}

$("record").onclick = async () => {
  const active = $("record").getAttribute("aria-pressed") !== "true";
  asked.add("record");
  judge();
  try {
    const answer = await fetch("recording", { method: "POST", body: JSON.stringify({ active }) });
    const text = await answer.text();
    const said = answer.headers.get("content-type") === "application/json" ? JSON.parse(text) : { error: text.trim() };
    if (!answer.ok) throw new Error(said.error);
    showRecording({ active: said.active });
    if (said.where) toast(said.active ? `Recording to ${said.where}.` : `Kept in ${said.where}.`);
  } catch (error) {
    toast(`The recording could not be ${active ? "started" : "stopped"}: ${error.message}`, true);
  }
  asked.delete("record");
  judge();
};

if ("DecompressionStream" in window) connect();
else {
  $("verdict").textContent = "This browser is too old for the live controls";
  const link = Object.assign(document.createElement("a"), { href: "stream.mjpg", textContent: "The plain image" });
  $("why").replaceChildren(link);
}
judge();
