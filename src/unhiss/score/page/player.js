// Only one version of a recording plays at a time; a new one continues at the position of the previous one.
for (const group of document.querySelectorAll(".versions")) {
  const players = [...group.querySelectorAll("audio")];
  for (const player of players) {
    player.addEventListener("play", () => {
      const other = players.find((candidate) => candidate !== player && !candidate.paused);
      if (other) {
        other.pause();
        player.currentTime = other.currentTime;
      }
    });
  }
}
