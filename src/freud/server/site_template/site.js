// The cursor of each clip follows its sound, and a click on the picture goes there.
for (const clip of document.querySelectorAll(".clip")) {
  const sound = clip.querySelector("audio")
  const strip = clip.querySelector(".strip")
  const cursor = clip.querySelector(".cursor")
  const seconds = Number(clip.dataset.seconds)
  const move = () => {
    cursor.style.left = `${(100 * sound.currentTime) / seconds}%`
    if (!sound.paused) requestAnimationFrame(move)
  }
  for (const event of ["play", "seeked", "timeupdate"]) sound.addEventListener(event, move)
  sound.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== sound) other.pause()
  })
  strip.addEventListener("click", event => {
    const box = strip.getBoundingClientRect()
    sound.currentTime = (seconds * (event.clientX - box.left)) / box.width
    sound.play()
  })
}
