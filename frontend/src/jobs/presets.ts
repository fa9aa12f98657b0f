// The named sets of settings that the server has.

import { useQuery } from "@tanstack/react-query";
import { api, take, type Shapes } from "@/api";

export function usePresets(modality: "image" | "audio" | undefined): Shapes["Preset"][] {
  const found = useQuery({
    queryKey: ["presets", modality],
    queryFn: () => take(api.GET("/api/presets", { params: { query: modality ? { modality } : {} } })),
    staleTime: Infinity,
  });
  return found.data ?? [];
}
