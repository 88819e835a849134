// Versions of one recording take turns: who starts, goes on where the other was, so that the ear can compare.
for (const group of document.querySelectorAll(".versions")) {
  const players = [...group.querySelectorAll("audio")];
  for (const player of players) {
    player.addEventListener("play", () => {
      const other = players.find((one) => one !== player && !one.paused);
      if (other) {
        other.pause();
        player.currentTime = other.currentTime;
      }
    });
  }
}
