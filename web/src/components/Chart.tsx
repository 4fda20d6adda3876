// uPlot as a component: made anew when its options change, told when only the data or the width do.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { calm } from "../api/urgent";
import "uplot/dist/uPlot.min.css";

export interface ChartProps {
  options: Omit<uPlot.Options, "width">;
  data: uPlot.AlignedData;
  label: string; // for those who do not see it
}

export function Chart({ options, data, label }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const target = box.current!;
    let plot: uPlot | null = null;
    const resized = new ResizeObserver(() => {
      if (target.clientWidth) plot?.setSize({ width: target.clientWidth, height: options.height });
    });
    let gone = false;
    void calm().then(() => {
      if (gone) return;
      plot = new uPlot({ ...options, width: target.clientWidth || 280 }, data, target);
      resized.observe(target);
    });
    return () => {
      gone = true;
      resized.disconnect();
      plot?.destroy();
    };
  }, [options, data]);
  return <div ref={box} class="chart" style={{ height: `${options.height}px` }} role="img" aria-label={label} />;
}
