// A photo from the camera: live where the browser lets a page have it, else by the phone's own camera.

const by = id => document.getElementById(id);
const live = Boolean(navigator.mediaDevices?.getUserMedia);
let stream = null;

/** Calls `taken(photo)` for every photo, `failed(reason)` where there is no camera. */
export function camera(taken, failed) {
  by("camera-open").addEventListener("click", async () => {
    if (!live) return by("capture").click();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } } });
    } catch (error) {
      return failed(`no camera: ${error.message}`);
    }
    by("video").srcObject = stream;
    by("camera").showModal();
  });
  by("capture").addEventListener("change", event => {
    for (const file of event.target.files) taken(file);
    event.target.value = "";
  });
  by("take").addEventListener("click", () => {
    const video = by("video"), canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    if (!canvas.width) return;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob(photo => taken(photo), "image/jpeg", 0.92);
    by("camera").close();
  });
  by("camera-close").addEventListener("click", () => by("camera").close());
  by("camera").addEventListener("close", () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    by("video").srcObject = stream = null;
  });
}
