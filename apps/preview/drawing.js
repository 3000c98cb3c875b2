// The canvas: a frame with the class map drawn over it. The viewer can fade or switch off its colours.

const SHADE = 0.45; // of a class's colour at its borders, as in recorded overlays
const [VALID, CANDIDATE, SHADOW] = ["#3ce65a", "#faaa28", "#141414"]; // of findings' outlines, as in recorded overlays

export class Drawing {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.mask = document.createElement("canvas");
    this.opacity = 0.5;
    this.borders = true;
    this.held = false;
    this.shown = [];
    this.colours = [];
    this.frame = null;
    this.classes = null;
    this.outlines = [];
  }

  setClasses(classes) {
    this.colours = classes.map(({ rgb }) => rgb);
    this.shown = classes.map(() => true);
  }

  // frame: ImageBitmap; classes: Uint8Array of its size, or null if the result is not valid; outlines: of its findings
  show(frame, classes, outlines) {
    this.outlines = outlines;
    if (this.frame && this.frame !== frame) this.frame.close();
    this.frame = frame;
    this.classes = classes;
    if (this.canvas.width !== frame.width || this.canvas.height !== frame.height) {
      this.canvas.width = frame.width;
      this.canvas.height = frame.height;
      this.canvas.parentElement.style.setProperty("--aspect", frame.width / frame.height);
    }
    this.paint();
  }

  // The result is not valid: only the frame is drawn, until a valid result comes.
  hold(held) {
    if (this.held === held) return;
    this.held = held;
    this.draw();
  }

  clear() {
    this.frame?.close();
    this.frame = this.classes = null;
    this.outlines = [];
    this.context.fillStyle = "#0a0e0d";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  paint() {
    if (this.frame && this.classes) this.paintMask();
    this.draw();
  }

  draw() {
    if (!this.frame) return;
    this.context.globalAlpha = 1;
    this.context.drawImage(this.frame, 0, 0);
    if (!this.classes || this.held) return;
    this.context.globalAlpha = this.opacity;
    this.context.drawImage(this.mask, 0, 0);
    this.context.globalAlpha = 1;
    for (const outline of this.outlines) this.line(outline);
  }

  // points: shares of the frame's width and height
  line({ points, closed, bold, valid }) {
    const { context, canvas } = this;
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x * canvas.width, y * canvas.height);
    if (closed) context.closePath();
    const stroke = Math.max(1, Math.min(canvas.width, canvas.height) / 240);
    const width = bold ? 2 * stroke : stroke;
    for (const [style, wide] of [[SHADOW, width + 2 * stroke], [valid ? VALID : CANDIDATE, width]]) {
      context.strokeStyle = style;
      context.lineWidth = wide;
      context.stroke();
    }
  }

  paintMask() {
    const { width, height } = this.frame;
    if (this.mask.width !== width || this.mask.height !== height || !this.image) {
      this.mask.width = width;
      this.mask.height = height;
      this.maskContext = this.mask.getContext("2d");
      this.image = this.maskContext.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const plain = new Uint32Array(256);
    const dark = new Uint32Array(256);
    this.colours.forEach(([red, green, blue], id) => {
      if (!this.shown[id]) return;
      plain[id] = (255 << 24) | (blue << 16) | (green << 8) | red;
      dark[id] = (255 << 24) | ((blue * SHADE) << 16) | ((green * SHADE) << 8) | (red * SHADE);
    });
    const { classes, pixels } = this;
    if (!this.borders) {
      for (let at = 0; at < classes.length; at++) pixels[at] = plain[classes[at]];
    } else {
      const last = classes.length - width;
      for (let at = 0; at < classes.length; at++) {
        const id = classes[at];
        const edge = (at + 1 < classes.length && classes[at + 1] !== id && (at + 1) % width !== 0)
          || (at < last && classes[at + width] !== id);
        pixels[at] = edge ? dark[id] : plain[id];
      }
    }
    this.maskContext.putImageData(this.image, 0, 0);
  }
}

// The parts of a binary message.
export function parse(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const jpeg = new Uint8Array(buffer, 4 + length, head.jpeg_bytes);
  const classes = new Uint8Array(buffer, 4 + length + head.jpeg_bytes);
  return { head, jpeg, classes };
}

export async function decode({ head, jpeg, classes }) {
  const frame = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  if (!classes.length) return { frame, classes: null };
  const inflated = new Blob([classes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const map = new Uint8Array(await new Response(inflated).arrayBuffer());
  if (map.length !== head.width * head.height || frame.width !== head.width) throw new Error("the image is not whole");
  return { frame, classes: map };
}
