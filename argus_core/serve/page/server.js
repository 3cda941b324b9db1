// Requests to the server that this page came from: with the token, errors in words, and images sent again if forgotten.

const TOKEN = "argus-token";

/** An answer that is not what was asked for; `status` is 0 if there was none. */
export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let askToken = async (refused) => null;

/** Set how to ask for the token: told whether the last one was refused, it gives a text, or null to give up. */
export function onTokenAsked(call) {
  askToken = call;
}

let asking = null;

/** Ask once, however many requests wait for the token. */
async function renewToken() {
  asking ??= askToken(sessionStorage.getItem(TOKEN) !== null).finally(() => (asking = null));
  const token = await asking;
  if (token) sessionStorage.setItem(TOKEN, token);
  return Boolean(token);
}

function headers() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function fault(status, text) {
  let message = "";
  try {
    message = JSON.parse(text).error;
  } catch {
    // Not of this server: a proxy answers in HTML.
  }
  return new ServerError(status, message || `The server answered with status ${status}.`);
}

const SILENT = "The server does not answer. Is it still running?";

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...headers() }, cache: "no-store" });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ServerError(0, SILENT);
  }
  if (response.status === 401 && (await renewToken())) return request(path, options);
  if (!response.ok) throw await fault(response.status, await response.text());
  return response;
}

const json = async (path, options) => (await request(path, options)).json();

export const getModel = () => json("page/model");

/** Send the bytes of an image; `progress` is called with the share that is sent. Returns the answers. */
export async function sendImage(blob, progress, signal) {
  try {
    return await upload(blob, progress, signal);
  } catch (error) {
    if (error.status === 401 && (await renewToken())) return sendImage(blob, progress, signal);
    throw error;
  }
}

function upload(blob, progress, signal) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest(); // fetch does not say how much is sent
    call.open("POST", "page/images");
    call.setRequestHeader("Content-Type", blob.type || "application/octet-stream");
    for (const [name, value] of Object.entries(headers())) call.setRequestHeader(name, value);
    call.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : 0);
    call.upload.onload = () => progress(1);
    call.onerror = () => reject(new ServerError(0, SILENT));
    call.onabort = () => reject(new DOMException("stopped", "AbortError"));
    call.onload = async () => {
      if (call.status === 200) resolve(JSON.parse(call.responseText));
      else reject(await fault(call.status, call.responseText));
    };
    signal?.addEventListener("abort", () => call.abort());
    call.send(blob);
  });
}

/** Call with the ids of photographs; those that the server has dropped are sent once more. */
async function withIds(photos, call) {
  try {
    return await call(photos.map((photo) => photo.id));
  } catch (error) {
    if (error.status !== 404) throw error;
    for (const photo of photos) photo.id = (await sendImage(photo.blob, () => {})).id;
    return call(photos.map((photo) => photo.id));
  }
}

/** The bytes of a map of one head. */
export const getPlanes = (photo, head) =>
  withIds([photo], async ([id]) => (await request(`page/images/${id}/layers/${encodeURIComponent(head)}`)).arrayBuffer());

export const getResults = (photo) => withIds([photo], ([id]) => json(`page/images/${id}/results`));

/** The upright photograph as the server sees it, for formats that this browser cannot show. */
export const getShown = async (blob) =>
  (await request("page/shown", { method: "POST", body: blob, headers: { "Content-Type": blob.type || "application/octet-stream" } })).blob();

/** Principal components of the tokens of some photographs together. */
export const getComponents = (photos, layer) => post("page/components", photos, { layer });

/** Cosines with a point of the first photograph, in it and in the others, and the best match there. */
export const getSimilar = (photos, point) => post("page/similar", photos, { point });

const asJson = (question) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question) });

const post = (path, photos, question) => withIds(photos, (ids) => json(path, asJson({ ids, ...question })));

/** Marks by photograph, as the server takes them. */
const marksOn = (ids, { photos, ...rest }) => ({ ...rest, photos: photos.map((marks, place) => ({ id: ids[place], marks })) });

/** What the head that is solved from the marks on some photographs says about others. */
export const getTaught = (marked, shown, marks) =>
  withIds([...marked, ...shown], (ids) => json("page/teach", asJson({ ids: ids.slice(marked.length), marks: marksOn(ids, marks) })));

/** That head as a file. */
export const getHead = (marked, marks, name) =>
  withIds(marked, async (ids) => (await request("page/teach/head", asJson({ marks: marksOn(ids, marks), name }))).blob());

/** Save the model with that head on the server: where, and how it is asked. */
export const saveHead = (marked, marks, name) => withIds(marked, (ids) => json("page/teach/save", asJson({ marks: marksOn(ids, marks), name })));
