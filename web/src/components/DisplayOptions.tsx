// How strips look and sound: color map and kind of spectrogram everywhere; for lists of clips also scale and emphasis.
import { colorMap, perClipScale, signs, wideBand, type MapName, type Signs } from "../prefs";
import { go, query } from "../url";

export function DisplayOptions({ list = true }: { list?: boolean }) {
  return (
    <div class="display-options" role="group" aria-label="Display">
      <label>
        <span class="visually-hidden">Spectrogram</span>
        <select
          value={wideBand.value ? "wide" : "mel"}
          onChange={(event) => (wideBand.value = event.currentTarget.value === "wide")}
        >
          <option value="mel">model's mel</option>
          <option value="wide">wide-band</option>
        </select>
      </label>
      <label>
        <span class="visually-hidden">Color map</span>
        <select value={colorMap.value} onChange={(event) => (colorMap.value = event.currentTarget.value as MapName)}>
          <option value="gray">gray</option>
          <option value="viridis">viridis</option>
          <option value="cividis">cividis</option>
          <option value="magma">magma</option>
        </select>
      </label>
      <label>
        <span class="visually-hidden">Colors above and below zero</span>
        <select value={signs.value} onChange={(event) => (signs.value = event.currentTarget.value as Signs)}>
          <option value="green-red">green/red</option>
          <option value="blue-orange">blue/orange</option>
        </select>
      </label>
      {list && (
        <>
          <label class="check" title="Otherwise all strips share one scale, so that weak clips look weak">
            <input
              type="checkbox"
              checked={perClipScale.value}
              onChange={(event) => (perClipScale.value = event.currentTarget.checked)}
            />
            scale each clip
          </label>
          <label class="check" title="Play the sound around each event at full level and the rest dimmed">
            <input
              type="checkbox"
              checked={query.value.emphasis === "1"}
              onChange={(event) => go({ emphasis: event.currentTarget.checked }, "replace")}
            />
            emphasize events
          </label>
        </>
      )}
    </div>
  );
}
